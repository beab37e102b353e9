/** A path template of `google/api/http.proto`, such as `/v1/{name=shelves/*}/books:search`. */
export interface PathTemplate {
  /** Literals (percent-decoded), `*` and `**`. */
  readonly segments: readonly string[];
  /** What follows the last colon, or "". */
  readonly verb: string;
  readonly variables: readonly PathVariable[];
}

export interface PathVariable {
  /** The path of the field, by proto names. */
  readonly path: string;
  /** The first segment that it takes. */
  readonly start: number;
  /** The segment behind the last; negative: counted from the end of the request, -1 is behind its last. */
  readonly end: number;
}

/** @throws Error that names the template and the column (1 is the first). */
export function parsePathTemplate(template: string): PathTemplate {
  const segments: string[] = [];
  const variables: PathVariable[] = [];
  let position = 0;

  function fail(what: string): never {
    throw new Error(`path template ${JSON.stringify(template)}: ${what} at column ${position + 1}`);
  }
  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = position;
    const match = pattern.exec(template)?.[0];
    if (match !== undefined) position += match.length;
    return match;
  }
  function addSegment(): void {
    if (segments.at(-1) === "**") fail('nothing may follow "**"');
    const wildcard = take(/\*\*?/y);
    if (wildcard !== undefined) {
      segments.push(wildcard);
      return;
    }
    const literal = take(/(?:[A-Za-z0-9\-_.~!$&'()+,;@]|%[0-9A-Fa-f]{2})+/y);
    if (literal === undefined) fail("a literal, * or ** is expected");
    segments.push(decodeURIComponent(literal));
  }
  function addVariable(): void {
    const path =
      take(/[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*/y) ?? fail("a field path is expected");
    if (variables.some((variable) => variable.path === path)) fail(`the field ${path} is bound twice`);
    const start = segments.length;
    if (take(/=/y) !== undefined) {
      do addSegment();
      while (take(/\//y) !== undefined);
    } else {
      if (segments.at(-1) === "**") fail('nothing may follow "**"');
      segments.push("*");
    }
    if (take(/\}/y) === undefined) fail('"}" is expected');
    variables.push({ path, start, end: segments.at(-1) === "**" ? -1 : segments.length });
  }

  if (take(/\//y) === undefined) fail('"/" is expected');
  do {
    if (take(/\{/y) !== undefined) addVariable();
    else addSegment();
  } while (take(/\//y) !== undefined);
  const verb = take(/:/y) === undefined ? "" : (take(/[A-Za-z0-9\-_.~]+/y) ?? fail("a verb is expected"));
  if (position < template.length) fail("the end is expected");
  return { segments, verb, variables };
}
