import { describe, expect, test } from "vitest";
import { isHost } from "../../src/http/host.ts";

describe("isHost", () => {
  test.each([
    ["localhost", "a name"],
    ["example.com", "a domain"],
    ["EXAMPLE.com", "upper case"],
    ["example.com.", "a domain with its root"],
    ["a_b-c.example.com", "_ and -"],
    ["xn--bcher-kva.example", "an A-label"],
    ["example.com:0", "the lowest port"],
    ["example.com:65535", "the highest port"],
    ["example.com:", "an empty port (RFC 3986 §3.2.3)"],
    ["127.0.0.1", "an IPv4 address"],
    ["127.0.0.1:8080", "an IPv4 address with a port"],
    ["[::1]", "an IPv6 address"],
    ["[::1]:8080", "an IPv6 address with a port"],
    ["[::ffff:192.0.2.1]", "an IPv4-mapped IPv6 address"],
  ])("accepts %j: %s", (host) => {
    expect(isHost(host)).toBe(true);
    expect(() => new URL("/path", `http://${host}`)).not.toThrow();
  });

  test.each([
    ["", "an empty string"],
    ["[", "a single bracket"],
    ["[]", "empty brackets"],
    ["[::1", "an open bracket"],
    ["::1", "an IPv6 address without brackets"],
    ["[::1]8080", "a port without its colon"],
    ["[127.0.0.1]", "an IPv4 address in brackets"],
    ["[fe80::1%eth0]", "a zone"],
    ["[v1.a]", "a future IP version"],
    ["a b", "a space"],
    [" a", "a space before"],
    ["a\tb", "a tab"],
    ["a,b", "two hosts"],
    ["x:99999", "a port above the range"],
    ["x:65536", "a port just above the range"],
    ["x:000000", "a port of six digits"],
    ["x:-1", "a negative port"],
    ["x:80a", "a port with a letter"],
    ["x:1:2", "two ports"],
    [":80", "only a port"],
    ["user@x", "a user"],
    ["x/y", "a path"],
    ["x?y", "a query"],
    ["x#y", "a fragment"],
    ["x\\y", "a backslash"],
    ["http://x", "a URL"],
    ["x%41", "percent encoding"],
    ["b\u00fccher.example", "a non-ASCII letter"],
    ["256.256.256.256", "an IPv4 address out of range"],
    ["1.2.3.4.5", "an IPv4 address with five parts"],
  ])("refuses %j: %s", (host) => {
    expect(isHost(host)).toBe(false);
  });
});
