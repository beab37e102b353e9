import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { simpleParser } from "mailparser";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { createSesProvider } from "../../../src/mail/providers/ses.ts";
import { code, from, mail, never } from "./mail.ts";

interface SendEmail {
  readonly FromEmailAddress: string;
  readonly Destination: { readonly ToAddresses: string[] };
  readonly Content: { readonly Raw: { readonly Data: string } };
}

/** An endpoint that speaks SendEmail of the SES API v2: POST /v2/email/outbound-emails, REST and JSON. */
async function startSes(answer: { status: number; error?: string } = { status: 200 }) {
  const calls: { path: string | undefined; authorization: string | undefined; body: SendEmail }[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    calls.push({ path: request.url, authorization: request.headers.authorization, body: JSON.parse(body) });
    if (answer.status === 0) return;
    response.writeHead(answer.status, {
      "content-type": "application/json",
      ...(answer.error ? { "x-amzn-errortype": answer.error } : {}),
    });
    response.end(
      JSON.stringify(answer.error ? { message: `${code} mini@mouse.com` } : { MessageId: "0100" }),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

async function createProvider(endpoint: string) {
  vi.stubEnv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
  vi.stubEnv("AWS_SECRET_ACCESS_KEY", "hidden");
  onTestFinished(() => void vi.unstubAllEnvs());
  const provider = await createSesProvider({ region: "eu-central-1", endpoint, from, dkim: undefined });
  onTestFinished(() => provider[Symbol.asyncDispose]());
  return provider;
}

describe("Amazon SES", () => {
  it("gets the mail as it is, for the one recipient, signed for the region", async () => {
    const { endpoint, calls } = await startSes();
    expect(await (await createProvider(endpoint)).send(mail, never)).toEqual({ kind: "sent" });
    expect(calls).toHaveLength(1);
    const { path, authorization, body } = calls[0]!;
    expect(path).toBe("/v2/email/outbound-emails");
    expect(authorization).toMatch(
      /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/ses\/aws4_request/,
    );
    expect(body.Destination).toEqual({ ToAddresses: ["mini@mouse.com"] });
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
  ])("that answers %i %s", async (status, error, expected) => {
    const { endpoint, calls } = await startSes({ status, error });
    expect(await (await createProvider(endpoint)).send(mail, never)).toEqual(expected);
    expect(calls).toHaveLength(1);
  });

  it("F12 that is not there means another attempt", async () => {
    const provider = await createProvider("http://127.0.0.1:1");
    expect(await provider.send(mail, never)).toEqual({ kind: "retry", reason: "ses connection" });
  });

  it("ends when the courier does", async () => {
    const { endpoint, calls } = await startSes({ status: 0 });
    const provider = await createProvider(endpoint);
    const stopping = new AbortController();
    const sending = provider.send(mail, stopping.signal);
    await vi.waitFor(() => expect(calls).toHaveLength(1), { timeout: 10_000 });
    stopping.abort();
    expect(await sending).toMatchObject({ kind: "retry" });
  });

  it.each([["a@x.io,b@y.io"], ["a@x.io\r\nBcc: b@y.io"]])("T21, T26 does not get %j", async (to) => {
    const { endpoint, calls } = await startSes();
    const result = await (await createProvider(endpoint)).send({ ...mail, to }, never);
    expect(result).toEqual({ kind: "reject", reason: "address" });
    expect(calls).toEqual([]);
  });
});
