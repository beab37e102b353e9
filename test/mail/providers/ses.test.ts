import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { simpleParser } from "mailparser";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { DkimSettings } from "../../../src/mail/mailer.ts";
import { createSesProvider } from "../../../src/mail/providers/ses.ts";
import { code, from, mail, never } from "../../support/mail/outgoing-mail.ts";
import { startDeafListener } from "../../support/mail/relay.ts";

interface SendEmail {
  readonly FromEmailAddress: string;
  readonly FeedbackForwardingEmailAddress?: string;
  readonly Destination: { readonly ToAddresses: string[] };
  readonly Content: { readonly Raw: { readonly Data: string } };
}

/** An endpoint with SendEmail of the SES API v2: POST /v2/email/outbound-emails with JSON. */
async function startSes(answer: { status: number; error?: string; message?: string } = { status: 200 }) {
  const calls: { path: string | undefined; authorization: string | undefined; body: SendEmail }[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    calls.push({ path: request.url, authorization: request.headers.authorization, body: JSON.parse(body) });
    if (answer.status === 0) return void (answer.error === "hang up" && response.destroy());
    response.writeHead(answer.status, {
      "content-type": "application/json",
      ...(answer.error ? { "x-amzn-errortype": answer.error } : {}),
    });
    response.end(
      JSON.stringify(
        answer.error ? { message: answer.message ?? `${code} mini@mouse.com` } : { MessageId: "0100" },
      ),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

async function createProvider(endpoint: string, options: { dkim?: DkimSettings; connectMs?: number } = {}) {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "hidden");
  onTestFinished(() => void vi.unstubAllEnvs());
  const provider = await createSesProvider({
    region: "eu-central-1",
    endpoint,
    from,
    dkim: undefined,
    ...options,
  });
  onTestFinished(() => provider[Symbol.asyncDispose]());
  return provider;
}

describe("Amazon SES", () => {
  it("receives the raw mail for its recipient, in a request signed for the region", async () => {
    const { endpoint, calls } = await startSes();
    expect(await (await createProvider(endpoint)).send(mail, never)).toEqual({ kind: "sent" });
    expect(calls).toHaveLength(1);
    const { path, authorization, body } = calls[0]!;
    expect(path).toBe("/v2/email/outbound-emails");
    expect(authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/ses\/aws4_request/,
    );
    expect(body.Destination).toEqual({ ToAddresses: ["mini@mouse.com"] });
    expect(body.FeedbackForwardingEmailAddress).toBeUndefined();
    const raw = Buffer.from(body.Content.Raw.Data, "base64");
    const parsed = await simpleParser(raw);
    expect(parsed).toMatchObject({ subject: "Your code", messageId: "<abc@id.example>", text: mail.text });
    expect(parsed.from?.value).toEqual([from]);
    expect(parsed.headers.get("auto-submitted")).toBe("auto-generated");
  });

  it.each<[number, string, object]>([
    [400, "MessageRejected", { kind: "reject", reason: "ses MessageRejected" }],
    [400, "BadRequestException", { kind: "reject", reason: "ses BadRequestException" }],
    [400, "SendingPausedException", { kind: "retry", reason: "ses 400" }],
    [400, "AccountSuspendedException", { kind: "retry", reason: "ses 400" }],
    [400, "MailFromDomainNotVerifiedException", { kind: "retry", reason: "ses 400" }],
    [403, "AccessDeniedException", { kind: "retry", reason: "ses 403" }],
    [404, "NotFoundException", { kind: "retry", reason: "ses 404" }],
    [429, "TooManyRequestsException", { kind: "retry", reason: "ses 429" }],
    [500, `${code}`, { kind: "retry", reason: "ses 500" }],
  ])("determines the result with %i %s", async (status, error, expected) => {
    const { endpoint, calls } = await startSes({ status, error });
    expect(await (await createProvider(endpoint)).send(mail, never)).toEqual(expected);
    expect(calls).toHaveLength(1);
  });

  it("receives the return path for notifications", async () => {
    const { endpoint, calls } = await startSes();
    const envelopeFrom = "bounces+163840776835432705-0a1b@example.com";
    await (await createProvider(endpoint)).send({ ...mail, envelopeFrom }, never);
    expect(calls[0]?.body).toMatchObject({
      FromEmailAddress: "Countersign <codes@example.com>",
      FeedbackForwardingEmailAddress: envelopeFrom,
    });
  });

  it("receives a DKIM signature that is valid with the Message-ID and Date that SES sets", async () => {
    const { endpoint, calls } = await startSes();
    const { privateKey, publicKey } = generateKeyPairSync("rsa", {
      modulusLength: 2048,
      publicKeyEncoding: { type: "spki", format: "der" },
      privateKeyEncoding: { type: "pkcs8", format: "pem" },
    });
    const dkim = { domain: "example.com", selector: "otp", privateKey };
    await (await createProvider(endpoint, { dkim })).send(mail, never);
    const raw = Buffer.from(calls[0]!.body.Content.Raw.Data, "base64").toString("latin1");
    const changed = raw
      .replace(/^Message-ID: .*$/m, "Message-ID: <0100@eu-central-1.amazonses.com>")
      .replace(/^Date: .*$/m, "Date: Mon, 23 Nov 2026 10:00:00 +0000");
    expect(changed).not.toBe(raw);
    const resolver = async () => [[`v=DKIM1; k=rsa; p=${publicKey.toString("base64")}`]];
    const { results } = await dkimVerify(Buffer.from(changed, "latin1"), { resolver });
    expect(results.map(({ status }) => status)).toMatchObject([{ result: "pass", aligned: "example.com" }]);
  });

  it("rejects the sender, not the mail, if the sender is not verified", async () => {
    const message =
      "Email address is not verified. The following identities failed the check in region EU-CENTRAL-1: codes@example.com";
    const { endpoint } = await startSes({ status: 400, error: "MessageRejected", message });
    expect(await (await createProvider(endpoint)).send(mail, never)).toEqual({
      kind: "reject",
      about: "sender",
      reason: "ses MessageRejected",
    });
  });

  it("F16 may have the mail if it disconnects without an answer", async () => {
    const { endpoint } = await startSes({ status: 0, error: "hang up" });
    expect(await (await createProvider(endpoint)).send(mail, never)).toEqual({
      kind: "retry",
      reason: "ses connection",
      mayHaveArrived: true,
    });
  });

  it("F12 causes a retry without credentials", async () => {
    const { endpoint, calls } = await startSes();
    const provider = await createProvider(endpoint);
    vi.stubEnv("AWS_ACCESS_KEY_ID", "");
    vi.stubEnv("AWS_EC2_METADATA_DISABLED", "true");
    vi.stubEnv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent");
    vi.stubEnv("AWS_CONFIG_FILE", "/nonexistent");
    expect(await provider.send(mail, never)).toEqual({ kind: "retry", reason: "ses connection" });
    expect(calls).toEqual([]);
  });

  it("F13 causes a retry if it accepts no connection", async () => {
    const provider = await createProvider(`http://127.0.0.1:${await startDeafListener()}`, {
      connectMs: 200,
    });
    expect(await provider.send(mail, never)).toEqual({ kind: "retry", reason: "ses connection" });
  });

  it("F12 causes a retry if it is down", async () => {
    const provider = await createProvider("http://127.0.0.1:1");
    expect(await provider.send(mail, never)).toEqual({ kind: "retry", reason: "ses connection" });
  });

  it("ends on abort", async () => {
    const { endpoint, calls } = await startSes({ status: 0 });
    const provider = await createProvider(endpoint);
    const stopping = new AbortController();
    const sending = provider.send(mail, stopping.signal);
    await vi.waitFor(() => expect(calls).toHaveLength(1), { timeout: 10_000 });
    stopping.abort();
    expect(await sending).toMatchObject({ kind: "retry" });
  });

  it.each([["a@x.io,b@y.io"], ["a@x.io\r\nBcc: b@y.io"]])(
    "T21, T26 does not receive a mail to %j",
    async (to) => {
      const { endpoint, calls } = await startSes();
      const result = await (await createProvider(endpoint)).send({ ...mail, to }, never);
      expect(result).toEqual({ kind: "reject", reason: "address" });
      expect(calls).toEqual([]);
    },
  );
});
