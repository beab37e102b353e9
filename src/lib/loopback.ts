/**
 * Whether a host can only be this machine. Plain text is safe to send there.
 *
 * @param host as `URL.hostname` has it, or an IPv6 address without its brackets.
 */
export function isLoopback(host: string): boolean {
  return /^(localhost|127(\.\d{1,3}){3}|::1|\[::1\])$/.test(host);
}
