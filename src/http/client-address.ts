import { BlockList, isIP, isIPv6 } from "node:net";

/** Whose word about where a request comes from is believed. */
export type TrustedProxies = BlockList;

/**
 * @param networks addresses and networks (CIDR), such as `10.0.0.0/8` and `::1`.
 * @throws if one of them is none.
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
 * Where a request comes from: the peer, unless that is a trusted proxy. Then it is the last address of `X-Forwarded-For`
 * that no trusted proxy has: what stands left of it was written by whoever wanted to.
 *
 * @param forwardedFor all lines of the header, joined by commas as Fetch does it.
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
    // A proxy that writes no address says nothing of where the request came from.
    if (isIP(address) === 0) break;
    client = address;
  }
  return client;
}

/** An IPv4 client of a socket that listens for both: `::ffff:192.0.2.1`. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
}

/** Some proxies add the port: `192.0.2.1:4711`, `[2001:db8::1]:4711`. */
function withoutPort(hop: string): string {
  return /^\[(.+)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
}

function familyOf(address: string): "ipv4" | "ipv6" {
  return isIPv6(address) ? "ipv6" : "ipv4";
}
