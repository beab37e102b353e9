import { isLoopback } from "../../lib/loopback.ts";

/** Variables of links in verification mails. */
export const urlTemplateVariables = ["UserID", "Code", "OrgID", "OTPEmailID"] as const;

/** Variables of links in login mails. */
export const loginUrlTemplateVariables = [
  ...urlTemplateVariables,
  "ChallengeID",
  "DisplayName",
  "PreferredLanguage",
] as const;

export type UrlTemplateVariable = (typeof loginUrlTemplateVariables)[number];

/** A valid template of a link, with no other variables than `V`. */
export interface UrlTemplate<V extends UrlTemplateVariable = UrlTemplateVariable> {
  /** As given by the caller. */
  readonly source: string;
  /** Normalized like `URL.host`: lower-case, without a default port. */
  readonly host: string;
  /** Whether the host is this machine: localhost, 127.0.0.0/8 or [::1]. */
  readonly loopback: boolean;
  /** Returns the link with percent-encoded values. Lone surrogates become U+FFFD, as in a URL. */
  render(values: Readonly<Record<V, string>>): string;
}

export type ParsedUrlTemplate<V extends UrlTemplateVariable> =
  | { readonly ok: true; readonly template: UrlTemplate<V> }
  | { readonly ok: false; readonly problem: string };

/**
 * Parses a template such as `https://example.com/verify?code={{.Code}}`, of 1 to 200 characters.
 *
 * Variables are only allowed after the host, so that no value can decide which host gets the code. Anything that a URL parser
 * changes (backslashes, tabs, user names, other alphabets) is rejected, because the mail contains the link as written.
 *
 * The problem is a sentence for the caller, with a position (from 1) where there is one.
 *
 * @param variables names that the template may contain.
 */
export function parseUrlTemplate<V extends UrlTemplateVariable>(
  source: string,
  variables: readonly V[],
): ParsedUrlTemplate<V> {
  if (source.length > charactersMax) {
    return { ok: false, problem: `url_template is too long: give 1 to ${charactersMax} characters` };
  }
  const scanned = scan(source, variables);
  if (typeof scanned === "string") return { ok: false, problem: scanned };
  const wrong = urlProblem(source, scanned);
  if (wrong !== undefined) return { ok: false, problem: wrong };
  const render = (values: Readonly<Record<V, string>>) =>
    scanned.map((part) => (typeof part === "string" ? part : percentEncode(values[part.variable]))).join("");
  const { host, hostname } = urlOf(scanned);
  return { ok: true, template: { source, host, loopback: isLoopback(hostname), render } };
}

/** Reports whether the link leads to one of these hosts (`host` or `host:port`, lower-case). */
export function hostAllowed(template: Pick<UrlTemplate, "host">, allowedHosts: readonly string[]): boolean {
  return allowedHosts.includes(template.host);
}

/** Limit of the API, in UTF-16 units. The same in characters, because only ASCII is accepted. */
const charactersMax = 200;

type Part<V = UrlTemplateVariable> = string | { readonly variable: V };

/** Splits a template into text and variables, or returns the problem. */
function scan<V extends UrlTemplateVariable>(source: string, variables: readonly V[]): Part<V>[] | string {
  const names = variables.map((name) => `{{.${name}}}`).join(", ");
  const parts: Part<V>[] = [];
  let position = 0;
  while (position < source.length) {
    const open = source.indexOf("{{", position);
    const text = source.slice(position, open === -1 ? undefined : open);
    const stray = text.indexOf("}}");
    if (stray !== -1)
      return `url_template has }} without {{ at position ${characters(source, position + stray)}: use ${names}`;
    parts.push(text);
    if (open === -1) break;

    const close = source.indexOf("}}", open);
    const at = `at position ${characters(source, open)}`;
    if (close === -1) return `url_template has {{ without }} ${at}: use ${names}`;
    const name = /^ *\.([A-Za-z]+) *$/.exec(source.slice(open + 2, close))?.[1];
    const variable = variables.find((known) => known === name);
    if (variable === undefined) return `url_template has an unknown variable ${at}: use ${names}`;
    parts.push({ variable });
    position = close + 2;
  }
  return parts;
}

/** Converts an index to a position in characters, from 1. */
function characters(source: string, index: number): number {
  return [...source.slice(0, index)].length + 1;
}

function urlProblem(source: string, parts: readonly Part[]): string | undefined {
  // An apostrophe could end an attribute in the mail. A lone percent sign would combine with the start of the value after it.
  const strange = /[^\x21-\x7e]|["'<>\\^`|]|%(?![0-9A-Fa-f]{2})/.exec(
    source.replace(/\{\{[^}]*\}\}/g, (variable) => "_".repeat(variable.length)),
  );
  if (strange) {
    return (
      `url_template has a character at position ${characters(source, strange.index)} that does not belong in a link: ` +
      "percent-encode it, and write hosts of other alphabets as A-labels"
    );
  }
  // Up to the end of the host, the template must be text that the URL parser leaves unchanged.
  const first = parts[0];
  const origin =
    typeof first === "string"
      ? /^(https?:\/\/[^/?#]+)[/?#]/i.exec(`${first}${parts.length === 1 ? "/" : ""}`)?.[1]
      : undefined;
  if (origin === undefined) {
    return "url_template must be an absolute URL such as https://example.com/verify?code={{.Code}}, without variables before the path";
  }
  if (/[@%{}]/.test(origin) || !URL.canParse(origin))
    return "url_template must name a host, without a user name or percent-encoding";
  const { protocol, host, hostname } = new URL(origin);
  const spelling = origin.slice(origin.indexOf("//") + 2).toLowerCase();
  // The URL parser removes a default port. No other difference is allowed.
  if (spelling !== host && spelling !== `${host}:${protocol === "https:" ? 443 : 80}`)
    return "url_template must name its host and port as they are: no other spelling of an IP address, no empty port";
  if (protocol === "https:" || isLoopback(hostname)) return undefined;
  return "url_template must be https (http only for loopback hosts)";
}

function urlOf(parts: readonly Part[]): URL {
  return new URL(parts.map((part) => (typeof part === "string" ? part : "_")).join(""));
}

/**
 * Encodes all but the unreserved characters (RFC 3986 §2.3). encodeURIComponent also leaves `!'()*`, and throws on lone
 * surrogates.
 */
function percentEncode(value: string): string {
  return encodeURIComponent(value.toWellFormed()).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
