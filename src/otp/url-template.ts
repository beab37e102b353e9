/** The variables of a link in a mail. */
export const urlTemplateVariables = ["UserID", "Code", "OrgID", "OTPEmailID"] as const;

export type UrlTemplateValues = Readonly<Record<(typeof urlTemplateVariables)[number], string>>;

/** A checked template of a link. */
export interface UrlTemplate {
  /** As it was given. */
  readonly source: string;
  /** Host and port as a URL has them: lower-case, without a default port. */
  readonly host: string;
  /** The link, with every value percent-encoded. */
  render(values: UrlTemplateValues): string;
}

export type ParsedUrlTemplate =
  | { readonly ok: true; readonly template: UrlTemplate }
  | { readonly ok: false; readonly problem: string };

/**
 * Parses a template such as `https://example.com/verify?code={{.Code}}`.
 *
 * Only `{{.Name}}` of the known names stands for something, and only behind the host: which host gets the code is
 * decided here and not by a value. What the URL parser would read differently than it is written (backslashes, tabs,
 * user names, other alphabets) is refused, because the mail holds what is written.
 *
 * The problem is a sentence for the caller, with the position (1 is the first character) where there is one.
 */
export function parseUrlTemplate(source: string): ParsedUrlTemplate {
  const scanned = scan(source);
  if (typeof scanned === "string") return { ok: false, problem: scanned };
  const wrong = urlProblem(source, scanned);
  if (wrong !== undefined) return { ok: false, problem: wrong };
  const render = (values: UrlTemplateValues) =>
    scanned.map((part) => (typeof part === "string" ? part : percentEncode(values[part.variable]))).join("");
  return { ok: true, template: { source, host: urlOf(scanned).host, render } };
}

/** Whether the link leads to one of these hosts (`host` or `host:port`, lower-case). */
export function hostAllowed(template: UrlTemplate, allowedHosts: readonly string[]): boolean {
  return allowedHosts.includes(template.host);
}

type Part = string | { readonly variable: (typeof urlTemplateVariables)[number] };

/** Splits a template into text and variables, or says what is wrong and where. */
function scan(source: string): Part[] | string {
  const parts: Part[] = [];
  let position = 0;
  while (position < source.length) {
    const open = source.indexOf("{{", position);
    const text = source.slice(position, open === -1 ? undefined : open);
    const stray = text.indexOf("}}");
    if (stray !== -1)
      return `url_template has }} without {{ at position ${characters(source, position + stray)}`;
    parts.push(text);
    if (open === -1) break;

    const close = source.indexOf("}}", open);
    const at = `at position ${characters(source, open)}`;
    if (close === -1) return `url_template has {{ without }} ${at}`;
    const name = /^ *\.([A-Za-z]+) *$/.exec(source.slice(open + 2, close))?.[1];
    const variable = urlTemplateVariables.find((known) => known === name);
    if (variable === undefined) {
      const known = urlTemplateVariables.map((known) => `{{.${known}}}`).join(", ");
      return `url_template has an unknown variable ${at}: use ${known}`;
    }
    parts.push({ variable });
    position = close + 2;
  }
  return parts;
}

/** The position for people: counted in characters, from 1. */
function characters(source: string, index: number): number {
  return [...source.slice(0, index)].length + 1;
}

function urlProblem(source: string, parts: readonly Part[]): string | undefined {
  const strange = /[^\x21-\x7e]|["<>\\^`|]/.exec(
    source.replace(/\{\{[^}]*\}\}/g, (variable) => "_".repeat(variable.length)),
  );
  if (strange) {
    return (
      `url_template has a character at position ${characters(source, strange.index)} that no URL has: ` +
      "percent-encode it, and write hosts of other alphabets in A-labels"
    );
  }
  // Everything up to the end of the host is text, and exactly what the URL parser makes of it.
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
  const { protocol, hostname } = new URL(origin);
  if (!origin.toLowerCase().startsWith(`${protocol}//${hostname}`))
    return "url_template must name its host as it is: no other spelling of an IP address";
  if (protocol === "https:" || isLoopback(hostname)) return undefined;
  return "url_template must be https (http only for loopback hosts)";
}

function urlOf(parts: readonly Part[]): URL {
  return new URL(parts.map((part) => (typeof part === "string" ? part : "_")).join(""));
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}

/** RFC 3986 §2.3: everything but the unreserved characters. encodeURIComponent leaves `!'()*` too. */
function percentEncode(value: string): string {
  return encodeURIComponent(value).replace(
    /[!'()*]/g,
    (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
