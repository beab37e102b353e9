import { describe, expect, it } from "vitest";
import { clientAddressOf, parseTrustedProxies } from "../../src/http/client-address.ts";

const trusted = parseTrustedProxies(["10.0.0.0/8", "127.0.0.1", "2001:db8:ffff::/48"]);

describe("T46 clientAddressOf", () => {
  it.each<[string, string | undefined, string | null, string | undefined]>([
    ["returns the peer without a header", "192.0.2.1", null, "192.0.2.1"],
    ["returns nothing for a closed socket", undefined, "192.0.2.9", undefined],
    ["ignores the header of an untrusted peer", "192.0.2.1", "198.51.100.7", "192.0.2.1"],
    ["believes a trusted proxy", "10.1.2.3", "198.51.100.7", "198.51.100.7"],
    ["returns the proxy if it sends no header", "10.1.2.3", null, "10.1.2.3"],
    ["ignores entries forged by the client", "10.1.2.3", "127.0.0.1, 1.1.1.1, 198.51.100.7", "198.51.100.7"],
    [
      "skips two proxies, and ignores a forged entry",
      "10.1.2.3",
      "1.1.1.1,198.51.100.7,10.9.9.9",
      "198.51.100.7",
    ],
    ["returns the first of a chain of proxies", "10.1.2.3", "10.0.0.1, 10.0.0.2", "10.0.0.1"],
    ["stops at an entry without an address", "10.1.2.3", "198.51.100.7, unknown", "10.1.2.3"],
    ["stops at an empty entry", "10.1.2.3", "198.51.100.7,", "10.1.2.3"],
    ["removes a port", "10.1.2.3", "198.51.100.7:4711", "198.51.100.7"],
    ["handles IPv6", "2001:db8:ffff::1", "2001:db8:1::7", "2001:db8:1::7"],
    ["removes the port of an IPv6 address", "10.1.2.3", "[2001:db8:1::7]:4711", "2001:db8:1::7"],
    [
      "unmaps IPv4 addresses of a dual-stack socket",
      "::ffff:10.1.2.3",
      "::ffff:198.51.100.7",
      "198.51.100.7",
    ],
    ["recognises a proxy by its mapped address", "10.1.2.3", "198.51.100.7, ::ffff:10.0.0.1", "198.51.100.7"],
  ])("%s", (_name, peer, header, client) => {
    expect(clientAddressOf(peer, header, trusted)).toBe(client);
  });
});

describe("parseTrustedProxies", () => {
  it.each(["10.0.0.0/33", "::1/129", "10.0.0.0/", "10.0.0.0/8/8", "example.com", "", "10.0.0/8", "::1/-1"])(
    "refuses %j",
    (network) => {
      expect(() => parseTrustedProxies([network])).toThrow("not an address or a network");
    },
  );
});
