import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hostAllowed, parseUrlTemplate } from "../../src/otp/url-template.ts";

const values = { UserID: "u/1 ü", Code: "7QZ4M2KX", OrgID: "o&p='(x)*!", OTPEmailID: "163840776835432705" };

function parse(source: string) {
  const parsed = parseUrlTemplate(source);
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
  ])("%s renders", (source, link) => {
    expect(parse(source).render(values)).toBe(link);
  });

  it.each([
    ["https://App.Example.com:443/x", "app.example.com"],
    ["https://app.example.com:8443/x", "app.example.com:8443"],
    ["https://xn--bcher-kva.example/x", "xn--bcher-kva.example"],
  ])("%s leads to %s", (source, host) => {
    const template = parse(source);
    expect(template.host).toBe(host);
    expect(hostAllowed(template, ["other.example", host])).toBe(true);
    expect(hostAllowed(template, [`x${host}`, host.slice(1), `${host}.evil.example`])).toBe(false);
  });
});

describe("T23 refuses, and says where", () => {
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
    ["no end", "https://x.io/{{.Code", /{{ without }} at position 14/],
    ["no beginning", "https://x.io/.Code}}", /}} without {{ at position 19/],
    ["a space", "https://x.io/a b", /position 15/],
    ["a line feed", "https://x.io/\n", /position 14/],
    ["a character beyond ASCII", "https://x.io/ü", /position 14/],
    ["a quote", 'https://x.io/"onclick=', /position 14/],
    ["an angle bracket", "https://x.io/<b>", /position 14/],
  ])("%s", (_name, source, message) => {
    const parsed = parseUrlTemplate(source);
    expect(parsed.ok ? "" : parsed.problem).toMatch(message);
  });

  it.each([
    ["clear text", "http://example.com/"],
    ["clear text to a look-alike of loopback", "http://localhost.example.com/"],
    ["clear text to another spelling of loopback", "http://127.1/"],
    ["a loopback address as a number", "http://2130706433/"],
    ["a script", "javascript:alert(1)"],
    ["data", "data:text/html,x"],
    ["no scheme", "//example.com/"],
    ["a path alone", "/verify"],
    ["no slashes", "https:example.com"],
    ["one slash", "https:/example.com/"],
    ["three slashes", "https:///example.com/"],
    ["a user", "https://good.example@evil.example/"],
    ["a user and a password", "https://a:b@evil.example/"],
    ["a backslash", "https://good.example\\@evil.example/"],
    ["a variable in the host", "https://good.example{{.Code}}.evil.example/"],
    ["a variable as the host", "https://{{.Code}}/"],
    ["a variable as the port", "https://good.example:{{.Code}}/"],
    ["a variable right behind the host", "https://good.example{{.Code}}"],
    ["a variable as the scheme", "{{.Code}}://good.example/"],
    ["a percent-encoded dot", "https://good.example%2eevil.example/"],
    ["a tab in the host", "https://good.exam\tple/"],
    ["a host beyond ASCII", "https://bücher.example/"],
    ["a full-width dot", "https://good。example/"],
    ["an empty host", "https://:443/"],
    ["a port that is none", "https://good.example:99999/"],
    ["leading space", " https://good.example/"],
    ["braces in the host", "https://good{x}.example/"],
  ])("%s", (_name, source) => {
    expect(parseUrlTemplate(source).ok).toBe(false);
  });
});

describe("a rendered link", () => {
  it("keeps the checked origin, whatever the values are", () => {
    const template = parse("https://example.com/{{.UserID}}/x?{{.OrgID}}={{.Code}}#{{.OTPEmailID}}");
    const text = fc.string({ unit: "grapheme" });
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
});
