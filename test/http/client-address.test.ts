import { describe, expect, it } from "vitest";
import { clientAddressOf, parseTrustedProxies } from "../../src/http/client-address.ts";

const trusted = parseTrustedProxies(["10.0.0.0/8", "127.0.0.1", "2001:db8:ffff::/48"]);

describe("T46 clientAddressOf", () => {
  it.each<[string, string | undefined, string | null, string | undefined]>([
    ["no header", "192.0.2.1", null, "192.0.2.1"],
    ["a socket that is gone", undefined, "192.0.2.9", undefined],
    ["a header of a peer that is not trusted", "192.0.2.1", "198.51.100.7", "192.0.2.1"],
    ["a trusted proxy", "10.1.2.3", "198.51.100.7", "198.51.100.7"],
    ["a trusted proxy that says nothing", "10.1.2.3", null, "10.1.2.3"],
    ["entries that the client made up", "10.1.2.3", "127.0.0.1, 1.1.1.1, 198.51.100.7", "198.51.100.7"],
    ["two proxies, and what the client made up", "10.1.2.3", "1.1.1.1,198.51.100.7,10.9.9.9", "198.51.100.7"],
    ["proxies alone", "10.1.2.3", "10.0.0.1, 10.0.0.2", "10.0.0.1"],
    ["no address", "10.1.2.3", "198.51.100.7, unknown", "10.1.2.3"],
    ["an empty entry", "10.1.2.3", "198.51.100.7,", "10.1.2.3"],
    ["a port", "10.1.2.3", "198.51.100.7:4711", "198.51.100.7"],
    ["IPv6", "2001:db8:ffff::1", "2001:db8:1::7", "2001:db8:1::7"],
    ["IPv6 with a port", "10.1.2.3", "[2001:db8:1::7]:4711", "2001:db8:1::7"],
    ["IPv4 on a socket for both", "::ffff:10.1.2.3", "::ffff:198.51.100.7", "198.51.100.7"],
    ["a proxy by its mapped address", "10.1.2.3", "198.51.100.7, ::ffff:10.0.0.1", "198.51.100.7"],
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
