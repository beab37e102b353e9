import { generateKeyPairSync } from "node:crypto";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { describe, expect, it, onTestFinished } from "vitest";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { from, mail, never } from "../../support/mail/outgoing-mail.ts";
import { startRelay } from "../../support/mail/relay.ts";

const { privateKey, publicKey } = generateKeyPairSync("rsa", {
  modulusLength: 2048,
  publicKeyEncoding: { type: "spki", format: "der" },
  privateKeyEncoding: { type: "pkcs8", format: "pem" },
});

/** Replaces DNS. */
async function resolver(name: string, type: string): Promise<string[][]> {
  if (name === "otp._domainkey.example.com" && type === "TXT") {
    return [[`v=DKIM1; k=rsa; p=${publicKey.toString("base64")}`]];
  }
  throw Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
}

async function signed(changes = {}): Promise<string> {
  const relay = await startRelay();
  const dkim = { domain: "example.com", selector: "otp", privateKey };
  const mailer = createSmtpMailer({ url: `smtp://127.0.0.1:${relay.port}`, from, dkim });
  onTestFinished(() => mailer[Symbol.asyncDispose]());
  expect(await mailer.send({ ...mail, ...changes }, never)).toEqual({ kind: "sent" });
  return relay.received[0]!.raw;
}

async function verify(raw: string) {
  const { results } = await dkimVerify(Buffer.from(raw, "latin1"), { resolver });
  return results.map(({ signingDomain, selector, status }) => ({
    signingDomain,
    selector,
    result: status.result,
    aligned: status.aligned,
  }));
}

const passed = { signingDomain: "example.com", selector: "otp", result: "pass", aligned: "example.com" };

describe("DKIM (RFC 6376)", () => {
  it.each([
    ["a plain mail", {}],
    ["a non-ASCII mail", { subject: "Ihr Schlüssel", text: "Füße ✓\n", html: "<p>Füße ✓</p>" }],
    ["a mail to a non-ASCII local part", { to: "δοκιμή@x.io" }],
    ["dots and long lines", { text: `.\n..\n${"x".repeat(2_000)}\n` }],
  ])("signs %s so that it verifies", async (_name, changes) => {
    expect(await verify(await signed(changes))).toEqual([passed]);
  });

  it("does not verify a changed mail", async () => {
    const raw = await signed();
    expect(await verify(raw.replace("ABCD2345", "ABCD2346"))).toMatchObject([{ result: "neutral" }]);
    expect(await verify(raw.replace(/^Subject: .*$/m, "Subject: other"))).toMatchObject([{ result: "fail" }]);
  });

  it("covers the fields that readers see, and prevents added ones (RFC 6376 §5.4)", async () => {
    const [, fields = ""] = /^DKIM-Signature:[\s\S]*?\bh=([\s\S]*?);/m.exec(await signed()) ?? [];
    const names = fields.toLowerCase().replace(/\s/g, "").split(":");
    for (const name of ["from", "to", "subject", "date", "message-id", "mime-version", "content-type"]) {
      expect(names).toContain(name);
    }
  });
});
