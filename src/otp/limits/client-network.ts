import { isIPv6 } from "node:net";

/**
 * Returns the network that a client address counts for: the address itself for IPv4, its /64 for IPv6. A customer commonly
 * has a whole /64 (RFC 6177) and can call from any address in it.
 */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  // The URL parser writes each address in one form: lower case, no dotted quad, `::` for the zeros. It rejects zones.
  const url = `http://[${address.replace(/%.*$/, "")}]`;
  const [head = "", tail] = new URL(url).hostname.slice(1, -1).split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const last = tail === "" ? [] : tail.split(":");
    while (groups.length + last.length < 8) groups.push("0");
    groups.push(...last);
  }
  return `${groups.slice(0, 4).join(":")}::/64`;
}
