import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { readCustomTemplates } from "../../../src/mail/templates/custom-templates.ts";
import { layouts } from "../../../src/mail/templates/layouts.gen.ts";
import { renderSample, type Sample } from "../../../src/mail/templates/sample.ts";
import type { Language } from "../../../src/texts/languages.ts";
import { startTestApp } from "../../support/app.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { addUser } from "../../support/users.ts";

function folderOf(files: Record<string, string | Buffer>): string {
  const folder = temporaryFolder();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function render(folder: string, sample: Sample, language: Language, orgId: string) {
  return renderSample(sample, {
    templates: readCustomTemplates(folder),
    language,
    orgId,
    serviceName: "Clubhouse",
    publicUrl: "https://otp.example.com",
    codeInSubject: false,
  });
}

const subject = (text: string) => JSON.stringify({ subject: text });

describe("custom templates", () => {
  const files = {
    "login.en.json": JSON.stringify({ subject: "Hello from {{service}}", intro: "Type this:" }),
    "login.txt": "Custom text {{code}} {{link}} {{reportLink}}",
    "acme/login.en.json": subject("Acme says hello"),
    "acme/login.html": `<p title="{{service}}">Acme {{intro}} {{code}}</p><a href="{{link}}"></a><a href='{{reportLink}}'></a>`,
    "acme/login.mjml": "{{#this is the source}}",
    "a%2Fb/login.en.json": subject("For a/b"),
    "README.md": "notes",
    ".hidden": "",
  };

  it("override the built-in ones: first those of the organization, then those of the folder", () => {
    const folder = folderOf(files);
    const acme = render(folder, "login", "en", "acme");
    expect(acme.subject).toBe("Acme says hello");
    expect(acme.html).toMatch(/^<p title="Clubhouse">Acme Type this: 493817<\/p>/);
    expect(acme.text).toMatch(/^Custom text 493817 https:\S+ https:\S+\n\n@otp\.example\.com #493817\n$/);

    const other = render(folder, "login", "en", "other");
    expect(other.subject).toBe("Hello from Clubhouse");
    expect(other.html).toContain(">Type this:</div>");
    expect(other.html).not.toContain("Acme");

    const verification = render(folder, "verification", "en", "acme");
    expect(verification.subject).toBe("Your code to verify this email address for Clubhouse");
  });

  it("do not change other languages", () => {
    const folder = folderOf(files);
    expect(render(folder, "login", "de", "acme").subject).toBe("Ihr Code zur Anmeldung bei Clubhouse");
  });

  it("are found for an organization whose id is not a file name, and under no other name", () => {
    const folder = folderOf(files);
    expect(render(folder, "login", "en", "a/b").subject).toBe("For a/b");
    for (const orgId of ["a%2Fb", "..", "acme/", "ACME", "__proto__"])
      expect(render(folder, "login", "en", orgId).subject).toBe("Hello from Clubhouse");
  });

  it("may be symbolic links, as in a mounted folder", () => {
    const target = folderOf({ "login.en.json": subject("By a link") });
    const folder = folderOf({});
    symlinkSync(join(target, "login.en.json"), join(folder, "login.en.json"));
    symlinkSync(target, join(folder, "acme"));
    expect(render(folder, "login", "en", "acme").subject).toBe("By a link");
  });

  it("can be copies of the built-in layouts", () => {
    const files = Object.entries(layouts).flatMap(([purpose, { html, text }]) => [
      [`${purpose}.html`, html],
      [`${purpose}.txt`, text],
    ]);
    expect(() => readCustomTemplates(folderOf(Object.fromEntries(files)))).not.toThrow();
  });

  it.each<[string, string, string | Buffer, RegExp]>([
    [
      "an unknown variable",
      "login.html",
      `{{code}} {{link}} {{reportLink}} {{cod}}`,
      /unknown variable \{\{cod\}\}: use .*\{\{code\}\}/,
    ],
    ["no code", "login.html", `<a href="{{link}}">{{reportLink}}</a>`, /lacks \{\{code\}\}: put it in/],
    ["neither code nor link", "verification.txt", "Hello", /lacks \{\{code\}\} and \{\{link\}\}/],
    ["no link to report a login", "login.txt", "{{code}} {{link}}", /lacks \{\{reportLink\}\}/],
    [
      "a page variable in text",
      "verification.txt",
      "{{code}} {{link}} {{dir}}",
      /unknown variable \{\{dir\}\}/,
    ],
    ["logic", "notice.txt", "{{#if happened}}{{happened}} {{happenedWhen}}", /"\{\{#if happened\}\}": only/],
    ["an open variable", "notice.txt", "{{happened}} {{happenedWhen}} {{", /has "\{\{": only/],
    [
      "an attribute without quotes",
      "notice.html",
      "<p title={{service}}>{{happened}} {{happenedWhen}}",
      /put quotes around/,
    ],
    [
      "a variable in a style",
      "notice.html",
      "<style>p{color:{{service}}}</style>{{happened}} {{happenedWhen}}",
      /<style>/,
    ],
    ["a script", "notice.html", "<script src=x></script>{{happened}} {{happenedWhen}}", /<script>/],
    [
      "the code in a subject",
      "login.en.json",
      subject("{{code}}"),
      /subject has an unknown variable \{\{code\}\}: use \{\{service\}\}, \{\{duration\}\}$/m,
    ],
    [
      "an unknown key",
      "login.en.json",
      JSON.stringify({ subjekt: "x" }),
      /unknown key subjekt: use .*subject/,
    ],
    ["an empty text", "login.en.json", subject(" "), /subject must be a non-empty text/],
    ["a number", "login.en.json", JSON.stringify({ subject: 1 }), /subject must be a non-empty text/],
    ["a list", "login.en.json", "[]", /must be a JSON object/],
    ["invalid JSON", "login.en.json", "{", /is not JSON/],
    ["invalid UTF-8", "login.en.json", Buffer.from([0xff]), /is not UTF-8/],
    ["an unknown language", "login.xx.json", subject("x"), /an unknown name: .*with one of en, de/],
    [
      "an unknown purpose",
      "logon.en.json",
      subject("x"),
      /is not for a known mail: the name must begin with verification, login, notice/,
    ],
    ["another ending", "login.htm", "", /an unknown name/],
    ["a file that is too long", "login.html", "x".repeat(100_001), /longer than 100000 bytes/],
    ["a folder that is too deep", "acme/login/x.md", "", /move its files up/],
  ])("are rejected with the name of the file: %s", (_what, name, text, problem) => {
    const folder = folderOf({ [name]: text, "verification.en.json": subject("right") });
    const read = () => readCustomTemplates(folder);
    expect(read).toThrow(problem);
    const named = name === "acme/login/x.md" ? "acme/login" : name;
    expect(read).toThrow(`COUNTERSIGN_TEMPLATES_DIR cannot be used:\n  ${named}: `);
    expect(read).not.toThrow("verification.en.json");
  });

  it("are rejected with all problems at once", () => {
    const folder = folderOf({ "login.html": "", "acme/notice.txt": "" });
    expect(() => readCustomTemplates(folder)).toThrow(/acme\/notice\.txt: [\s\S]*login\.html: /);
    expect(() => readCustomTemplates(join(folder, "none"))).toThrow(/none: cannot be read/);
  });

  it.skipIf(process.getuid?.() === 0)("are rejected if they cannot be read", () => {
    const folder = folderOf({ "login.en.json": subject("x") });
    chmodSync(join(folder, "login.en.json"), 0);
    expect(() => readCustomTemplates(folder)).toThrow(/login\.en\.json: cannot be read/);
  });

  it("are used by the service, which does not start with an invalid one", async () => {
    const folder = folderOf({ "acme/verification.de.json": subject("Acme grüßt") });
    const test = await startTestApp({ environment: { COUNTERSIGN_TEMPLATES_DIR: folder } });
    const client = await test.admin();
    await addUser(client, "in", "acme");
    await addUser(client, "out", "other");
    const headers = { "accept-language": "de-AT" };
    await client.addOTPEmail({ userId: "in", email: { address: "in@x.io" } }, { headers });
    await client.addOTPEmail({ userId: "out", email: { address: "out@x.io" } }, { headers });
    expect((await test.mails("in@x.io"))[0]!.subject).toBe("Acme grüßt");
    expect((await test.mails("out@x.io"))[0]!.subject).toMatch(/^Ihr Code zur Bestätigung/);

    writeFileSync(join(folder, "login.txt"), "no code");
    await expect(startTestApp({ environment: { COUNTERSIGN_TEMPLATES_DIR: folder } })).rejects.toThrow(
      /login\.txt: lacks/,
    );
  });
});
