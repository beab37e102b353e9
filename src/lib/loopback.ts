/**
 * Whether a host is this machine, so that unencrypted connections are safe.
 *
 * @param host in the form of `URL.hostname`, or an IPv6 address without brackets.
 */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/.test(host);
}
