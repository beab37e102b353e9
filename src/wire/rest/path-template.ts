/** A path template of `google/api/http.proto`, such as `/v1/{name=shelves/*}/books:search`. */
export interface PathTemplate {
  /**
   * Literals, `*` and `**`. Literals are percent-decoded, except that `%` and `*` stay `%25` and `%2A`, so that no literal
   * looks like a wildcard.
   */
  readonly segments: readonly string[];
  /** The verb after the colon, percent-decoded, or "". */
  readonly verb: string;
  readonly variables: readonly PathVariable[];
}

export interface PathVariable {
  /** The path of the field, in proto names. */
  readonly path: string;
  /** Index of the first segment. */
  readonly start: number;
  /** Index after the last segment. -1 for a variable that ends in `**`, which takes all remaining segments. */
  readonly end: number;
}

/**
 * Parses a template by the grammar of `google/api/http.proto`: no nested variables, and only a verb after `**`. In a
 * LITERAL, everything but unreserved characters (RFC 3986 §2.3) must be percent-encoded.
 *
 * @throws Error that names the template and the column, starting from 1.
 */
export function parsePathTemplate(template: string): PathTemplate {
  const segments: string[] = [];
  const variables: PathVariable[] = [];
  let position = 0;

  function fail(what: string, at = position): never {
    throw new Error(`path template ${JSON.stringify(template)}: ${what} at column ${at + 1}`);
  }
  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = position;
    const match = pattern.exec(template)?.[0];
    if (match !== undefined) position += match.length;
    return match;
  }
  function takeLiteral(): string | undefined {
    const start = position;
    const literal = take(/(?:[A-Za-z0-9\-_.~]|%[0-9A-Fa-f]{2})+/y);
    return literal && (percentDecode(literal) ?? fail("the percent-encoding is not valid UTF-8", start));
  }
  function expectNoRest(): void {
    if (segments.at(-1) === "**") fail('nothing may follow "**"');
  }
  function takeSegment(): void {
    expectNoRest();
    const wildcard = take(/\*\*?/y);
    const literal = wildcard === undefined ? takeLiteral() : undefined;
    segments.push(wildcard ?? (literal && escapeLiteral(literal)) ?? fail("a literal, * or ** is expected"));
  }
  function takeVariable(): void {
    const path =
      take(/[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*/y) ?? fail("a field path is expected");
    if (variables.some((variable) => variable.path === path)) fail(`the field ${path} is bound twice`);
    expectNoRest();
    const start = segments.length;
    if (take(/=/y) === undefined) segments.push("*");
    else {
      do takeSegment();
      while (take(/\//y) !== undefined);
    }
    if (take(/\}/y) === undefined) fail('"}" is expected');
    variables.push({ path, start, end: segments.at(-1) === "**" ? -1 : segments.length });
  }

  if (take(/\//y) === undefined) fail('"/" is expected');
  do {
    if (take(/\{/y) === undefined) takeSegment();
    else takeVariable();
  } while (take(/\//y) !== undefined);
  const verb = take(/:/y) === undefined ? "" : (takeLiteral() ?? fail("a verb is expected"));
  if (position < template.length) fail("the end is expected");
  return { segments, verb, variables };
}

/** Decodes a literal segment of a template completely. */
export function literalText(literal: string): string {
  return literal.replaceAll("%2A", "*").replaceAll("%25", "%");
}

function escapeLiteral(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("*", "%2A");
}

/**
 * Returns the value of a variable, decoded once from the raw segments of a request. A single segment is decoded
 * completely. In several segments, `%2F` and `%2f` are kept, to tell them from the slashes between segments
 * (`google/api/http.proto`, "Path template syntax"). Undefined if the value is not valid UTF-8, or has U+0000.
 */
export function captureOf(variable: PathVariable, segments: readonly string[]): string | undefined {
  const { start, end } = variable;
  if (end - start === 1) return percentDecode(segments[start] ?? "");
  const raw = segments.slice(start, end === -1 ? undefined : end).join("/");
  return percentDecode(raw.replace(/%(2f)/gi, "%25$1"));
}

/** Decodes a part of a path once. Undefined if it is not percent-encoded UTF-8, or has U+0000. */
export function percentDecode(raw: string): string | undefined {
  // RFC 3986 §3.3: non-ASCII characters must be percent-encoded. Node decodes raw bytes as Latin-1.
  if (!/^[!-~]*$/.test(raw)) return undefined;
  if (!raw.includes("%")) return raw;
  try {
    const text = decodeURIComponent(raw);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}
