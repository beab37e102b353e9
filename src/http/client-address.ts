import { BlockList, isIP, isIPv6 } from "node:net";

/** Proxies whose `X-Forwarded-For` is trusted. */
export type TrustedProxies = BlockList;

/**
 * @param networks addresses and networks (CIDR), such as `10.0.0.0/8` and `::1`.
 * @throws Error if one of them is neither.
 */
export function parseTrustedProxies(networks: readonly string[]): TrustedProxies {
  const proxies = new BlockList();
  for (const network of networks) {
    const [address = "", prefix, ...more] = network.split("/");
    const bits = isIPv6(address) ? 128 : 32;
    const isPrefix = prefix === undefined || (/^\d{1,3}$/.test(prefix) && Number(prefix) <= bits);
    if (isIP(address) === 0 || !isPrefix || more.length > 0) throw new Error("not an address or a network");
    proxies.addSubnet(address, prefix === undefined ? bits : Number(prefix), familyOf(address));
  }
  return proxies;
}

/**
 * Returns the address of the client: the peer, or, if that is a trusted proxy, the last address of `X-Forwarded-For` that
 * is not a trusted proxy. Anything left of it can be forged.
 *
 * @param peer the remote address of the socket. Undefined once it is closed.
 * @param forwardedFor all values of the header, joined with commas.
 */
export function clientAddressOf(
  peer: string | undefined,
  forwardedFor: string | null,
  trusted: TrustedProxies,
): string | undefined {
  if (peer === undefined) return undefined;
  let client = plain(peer);
  for (const hop of forwardedFor?.split(",").reverse() ?? []) {
    if (!trusted.check(client, familyOf(client))) break;
    const address = plain(withoutPort(hop.trim()));
    // Stop at an entry without an address, such as `unknown`.
    if (isIP(address) === 0) break;
    client = address;
  }
  return client;
}

/** Removes the zone, and the prefix of an IPv4 address on a dual-stack socket: `::ffff:192.0.2.1`. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
}

/** Removes the port that some proxies add: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[(.+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv6(address) ? "ipv6" : "ipv4";
}
