import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  hostAllowed,
  parseUrlTemplate,
  urlTemplateVariables,
} from "../../../src/otp/delivery/url-template.ts";

const values = { UserID: "u/1 ü", Code: "7QZ4M2KX", OrgID: "o&p='(x)*!", OTPEmailID: "163840776835432705" };

/** Any JavaScript string, with control characters and lone surrogates. */
const anyString = fc.array(fc.nat(0xffff), { maxLength: 40 }).map((units) => String.fromCharCode(...units));

function parse(source: string) {
  const parsed = parseUrlTemplate(source, urlTemplateVariables);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.template;
}

describe("a template", () => {
  it.each([
    ["https://example.com/v?u={{.UserID}}&c={{.Code}}", "https://example.com/v?u=u%2F1%20%C3%BC&c=7QZ4M2KX"],
    ["https://example.com/{{ .OTPEmailID }}#{{   .Code}}", "https://example.com/163840776835432705#7QZ4M2KX"],
    ["https://example.com/?o={{.OrgID}}", "https://example.com/?o=o%26p%3D%27%28x%29%2A%21"],
    ["https://example.com", "https://example.com"],
    ["https://example.com?c={{.Code}}", "https://example.com?c=7QZ4M2KX"],
    ["https://example.com/{{.Code}}{{.Code}}", "https://example.com/7QZ4M2KX7QZ4M2KX"],
    ["https://example.com/{not}/{{.Code}}", "https://example.com/{not}/7QZ4M2KX"],
    ["http://localhost:3000/{{.Code}}", "http://localhost:3000/7QZ4M2KX"],
    ["http://127.0.0.1/{{.Code}}", "http://127.0.0.1/7QZ4M2KX"],
    ["http://[::1]:8080/{{.Code}}", "http://[::1]:8080/7QZ4M2KX"],
  ])("renders: %s", (source, link) => {
    expect(parse(source).render(values)).toBe(link);
  });

  it.each([
    ["https://App.Example.com:443/x", "app.example.com"],
    ["https://app.example.com:8443/x", "app.example.com:8443"],
    ["https://xn--bcher-kva.example/x", "xn--bcher-kva.example"],
  ])("has a normalized host: %s, %s", (source, host) => {
    const template = parse(source);
    expect(template.host).toBe(host);
    expect(hostAllowed(template, ["other.example", host])).toBe(true);
    expect(hostAllowed(template, [`x${host}`, host.slice(1), `${host}.evil.example`])).toBe(false);
  });
});

describe("a loopback host", () => {
  it.each([
    ["http://localhost:3000/", true],
    ["https://LOCALHOST/", true],
    ["http://127.0.0.1/", true],
    ["http://127.255.255.254:8080/", true],
    ["http://[::1]:8080/", true],
    ["https://127.0.0.1.example.com/", false],
    ["https://localhost.example.com/", false],
    ["https://128.0.0.1/", false],
    ["https://[::2]/", false],
  ])("is recognized: %s, %s", (source, loopback) => {
    expect(parse(source).loopback).toBe(loopback);
  });
});

describe("the variables of a template", () => {
  it("can be restricted", () => {
    const withCode = "https://x.io/{{.UserID}}/{{.Code}}";
    const parsed = parseUrlTemplate(withCode, ["UserID", "OrgID"]);
    expect(parsed.ok ? "" : parsed.problem).toMatch(/position 26: use {{.UserID}}, {{.OrgID}}$/);
    expect(parseUrlTemplate("https://x.io/{{.UserID}}", ["UserID"]).ok).toBe(true);
  });
});

describe("the length of a template", () => {
  it.each([
    [200, true],
    [201, false],
  ])("of %d characters is valid: %s", (length, ok) => {
    expect(parseUrlTemplate("https://example.com/".padEnd(length, "x"), urlTemplateVariables).ok).toBe(ok);
  });

  it("is rejected if empty", () => {
    expect(parseUrlTemplate("", urlTemplateVariables).ok).toBe(false);
  });
});

describe("T23 a template", () => {
  it.each([
    [
      "an unknown variable",
      "https://x.io/{{.Secret}}",
      /position 14: use {{.UserID}}, {{.Code}}, {{.OrgID}}, {{.OTPEmailID}}/,
    ],
    ["a name without its dot", "https://x.io/{{Code}}", /position 14/],
    ["an expression", "https://x.io/{{7*7}}", /position 14/],
    ["a function", "https://x.io/{{printf .Code}}", /position 14/],
    ["a field of a field", "https://x.io/{{.Code.Length}}", /position 14/],
    ["another case", "https://x.io/{{.code}}", /position 14/],
    ["nothing", "https://x.io/{{}}", /position 14/],
    ["a tab in the braces", "https://x.io/{{\t.Code}}", /position 14/],
    ["three braces", "https://x.io/{{{.Code}}}", /position 14/],
    ["the second of two", "https://x.io/{{.Code}}/{{.Nope}}", /position 24/],
    ["no end", "https://x.io/{{.Code", /{{ without }} at position 14: use {{.UserID}}, /],
    ["no beginning", "https://x.io/.Code}}", /}} without {{ at position 19: use {{.UserID}}, /],
    ["a space", "https://x.io/a b", /position 15/],
    ["a line feed", "https://x.io/\n", /position 14/],
    ["a non-ASCII character", "https://x.io/ü", /position 14/],
    ["a quote", 'https://x.io/"onclick=', /position 14/],
    ["an angle bracket", "https://x.io/<b>", /position 14/],
    ["an apostrophe", "https://x.io/'onclick=", /position 14/],
    ["a lone percent sign", "https://x.io/100%", /position 17/],
    ["a percent sign before a value", "https://x.io/%{{.Code}}", /position 14/],
    ["a percent sign and a digit before a value", "https://x.io/%4{{.Code}}", /position 14/],
    ["a variable after a wide character, in characters", "https://x.io/😀/{{.Nope}}", /position 16/],
  ])("is rejected with the position of %s", (_name, source, message) => {
    const parsed = parseUrlTemplate(source, urlTemplateVariables);
    expect(parsed.ok ? "" : parsed.problem).toMatch(message);
  });

  it.each([
    ["clear text", "http://example.com/"],
    ["clear text to a look-alike of loopback", "http://localhost.example.com/"],
    ["clear text to another spelling of loopback", "http://127.1/"],
    ["a loopback address as a number", "http://2130706433/"],
    ["an address in hexadecimal", "https://0x7f.1/"],
    ["an address that ends in hexadecimal", "https://0.0.0.0x0/"],
    ["an uncompressed IPv6 address", "https://[0:0::1]/"],
    ["a port without a number", "https://good.example:/"],
    ["a port with a leading zero", "https://good.example:0443/"],
    ["another scheme", "ftp://good.example/"],
    ["a script", "javascript:alert(1)"],
    ["data", "data:text/html,x"],
    ["no scheme", "//example.com/"],
    ["only a path", "/verify"],
    ["no slashes", "https:example.com"],
    ["one slash", "https:/example.com/"],
    ["three slashes", "https:///example.com/"],
    ["a user", "https://good.example@evil.example/"],
    ["a user and a password", "https://a:b@evil.example/"],
    ["a backslash", "https://good.example\\@evil.example/"],
    ["a variable in the host", "https://good.example{{.Code}}.evil.example/"],
    ["a variable as the host", "https://{{.Code}}/"],
    ["a variable as the port", "https://good.example:{{.Code}}/"],
    ["a variable right after the host", "https://good.example{{.Code}}"],
    ["a variable as the scheme", "{{.Code}}://good.example/"],
    ["a percent-encoded dot", "https://good.example%2eevil.example/"],
    ["a percent-encoded dot at the end of the URL", "https://good.example%2eevil"],
    ["a tab in the host", "https://good.exam\tple/"],
    ["a line break in the scheme", "ht\r\ntps://good.example/"],
    ["an invalid A-label", "https://xn--a.example/"],
    ["a non-ASCII host", "https://bücher.example/"],
    ["a full-width dot", "https://good。example/"],
    ["an empty host", "https://:443/"],
    ["an invalid port", "https://good.example:99999/"],
    ["leading space", " https://good.example/"],
    ["braces in the host", "https://good{x}.example/"],
  ])("is rejected with %s", (_name, source) => {
    expect(parseUrlTemplate(source, urlTemplateVariables).ok).toBe(false);
  });
});

describe("a rendered link", () => {
  it("keeps the checked origin with any values", () => {
    const template = parse("https://example.com/{{.UserID}}/x?{{.OrgID}}={{.Code}}#{{.OTPEmailID}}");
    const text = fc.oneof(anyString, fc.string({ unit: "grapheme" }));
    fc.assert(
      fc.property(fc.record({ UserID: text, OrgID: text, Code: text, OTPEmailID: text }), (some) => {
        const link = template.render(some);
        expect(link).toMatch(/^[\x21-\x7e]+$/);
        expect(link).not.toMatch(/["'<>\\`{}|^]/);
        const url = new URL(link);
        expect(url.origin).toBe("https://example.com");
        expect([url.username, url.password]).toEqual(["", ""]);
      }),
    );
  });

  it("leads to the checked host with any template", () => {
    const pieces = fc.constantFrom(
      ..."/?#@:.%\\[]{}'&=\t\nü。",
      "{{.Code}}",
      "{{ .UserID }}",
      "https://",
      "good.example",
      "evil.example",
      "127.0.0.1",
      "[::1]",
      "0x7f",
      "%2e",
      ":443",
    );
    const near = fc.array(pieces, { maxLength: 8 }).map((parts) => parts.join(""));
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.constantFrom("https://good.example", "https://", ""),
        near,
        anyString,
        (start, end, value) => {
          const parsed = parseUrlTemplate(start + end, urlTemplateVariables);
          if (!parsed.ok) return;
          accepted++;
          const { host, render } = parsed.template;
          const link = render({ UserID: value, Code: value, OrgID: value, OTPEmailID: value });
          expect(link).toMatch(/^https:\/\/[\x21-\x7e]+$/);
          expect(link).not.toMatch(/["'<>\\`|^]/);
          const url = new URL(link);
          expect(url.host).toBe(host);
          expect([url.username, url.password]).toEqual(["", ""]);
          // Software that finds the host without a URL parser gets the same.
          expect(link.slice("https://".length).split(/[/?#]/)[0]?.replace(/:443$/, "")).toBe(host);
        },
      ),
      { numRuns: 5_000 },
    );
    expect(accepted).toBeGreaterThan(100);
  });
});
