import type { NodeRequest } from "./reply.ts";

/**
 * Whether the request says in a valid way which host it is for (RFC 9110 §7.2): once, as `host` or `host:port`.
 *
 * Handlers build URLs from it, and a URL of `[` throws where nobody catches.
 */
export function hasValidHost(request: NodeRequest): boolean {
  const host = "stream" in request ? authorityOf(request.headers) : hostOf(request.rawHeaders);
  return host !== undefined && isHost(host);
}

/** The last one that was found valid: nearly every request is for the same. */
let lastValid: string | undefined;

/** `host` or `host:port`: letters, digits, `-`, `.` and `_`, or an IPv6 address in brackets; the port up to 65535. */
export function isHost(value: string): boolean {
  if (value === lastValid) return true;
  // The pattern keeps out what a URL would take for a user, a path or a query; the URL parser then holds the numbers
  // of the port and of IP addresses to their ranges, and A-labels (`xn--`) to IDNA.
  const isValid =
    /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?$/i.test(value) && URL.canParse(`http://${value}`);
  if (isValid) lastValid = value;
  return isValid;
}

/** RFC 9112 §3.2: a request with more than one Host line is refused. `headers.host` would show the first alone. */
function hostOf(rawHeaders: readonly string[]): string | undefined {
  let host: string | undefined;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length !== 4 || name.toLowerCase() !== "host") continue;
    if (host !== undefined) return undefined;
    host = rawHeaders[at + 1];
  }
  return host;
}

/** RFC 9113 §8.3.1: `:authority` stands for Host; where both are sent they have to agree. */
function authorityOf(headers: NodeRequest["headers"]): string | undefined {
  const authority = headers[":authority"]?.toString();
  const { host } = headers;
  if (authority === undefined || host === undefined) return authority ?? host;
  return authority.toLowerCase() === host.toLowerCase() ? authority : undefined;
}
