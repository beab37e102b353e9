import type { NodeRequest } from "./reply.ts";

/**
 * Whether the request names its host exactly once, as a valid `host` or `host:port` (RFC 9110 §7.2).
 *
 * Handlers build URLs from it, and `new URL()` would throw on an invalid one.
 */
export function hasValidHost(request: NodeRequest): boolean {
  const host = "stream" in request ? authorityOf(request.headers) : hostOf(request.rawHeaders);
  return host !== undefined && isHost(host);
}

/** Whether the value is a valid `host` or `host:port`. The host may have `_`, and IPv6 addresses are in brackets. */
export function isHost(value: string): boolean {
  // The pattern excludes what would be a user, a path or a query in a URL. The URL parser then checks the ranges of the port
  // and of IPv4 addresses, and A-labels (`xn--`).
  return /^(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{0,5})?$/i.test(value) && URL.canParse(`http://${value}`);
}

/** RFC 9112 §3.2: more than one Host header is an error. `headers.host` would be only the first. */
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

/** RFC 9113 §8.3.1: `:authority` replaces Host. If both are sent, they must be equal. */
function authorityOf(headers: NodeRequest["headers"]): string | undefined {
  const authority = headers[":authority"]?.toString();
  const { host } = headers;
  if (authority === undefined || host === undefined) return authority ?? host;
  return authority.toLowerCase() === host.toLowerCase() ? authority : undefined;
}
