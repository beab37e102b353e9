import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { Webhook } from "standardwebhooks";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  createWebhookProvider,
  readWebhookSecrets,
  type WebhookTimeouts,
} from "../../../src/mail/providers/webhook.ts";
import { code, from, mail, never } from "../../support/mail/outgoing-mail.ts";
import { certificate, startDeafListener, startScriptedRelay } from "../../support/mail/relay.ts";

const secret = `whsec_${Buffer.alloc(32, 7).toString("base64")}`;

interface Call {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

async function startReceiver(answer: (response: ServerResponse) => void = (response) => void response.end()) {
  const calls: Call[] = [];
  const server = createServer(async (request, response) => {
    const { method, url, headers } = request;
    let body = "";
    for await (const chunk of request) body += chunk;
    calls.push({ method, url, headers, body });
    answer(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mail`, calls };
}

function createProvider(url: string, timeouts: Partial<WebhookTimeouts> = {}, secrets = [secret]) {
  const provider = createWebhookProvider({ url, secrets, from, timeouts });
  onTestFinished(() => provider[Symbol.asyncDispose]());
  return provider;
}

/** A server with a certificate that is not trusted. */
async function startUntrusted() {
  const received: string[] = [];
  const { cert, key } = certificate("relay");
  const server = createTlsServer({ cert, key }, (request, response) => {
    received.push(request.url ?? "");
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { port: (server.address() as AddressInfo).port, received };
}

const status = (code: number) => (response: ServerResponse) => void response.writeHead(code).end("x");

describe("a webhook", () => {
  it("receives the mail", async () => {
    const { url, calls } = await startReceiver();
    expect(await createProvider(url).send(mail, never)).toEqual({ kind: "sent" });
    expect(calls).toHaveLength(1);
    expect(calls[0]).toMatchObject({ method: "POST", url: "/mail" });
    expect(calls[0]?.headers["content-type"]).toBe("application/json");
    expect(JSON.parse(calls[0]!.body)).toEqual({
      type: "mail.send",
      timestamp: "2026-11-23T09:00:00.000Z",
      data: {
        from: { name: "Countersign", address: "codes@example.com" },
        to: "mini@mouse.com",
        return_path: "codes@example.com",
        subject: "Your code",
        text: mail.text,
        html: mail.html,
        message_id: "<abc@id.example>",
        headers: { "Auto-Submitted": "auto-generated" },
      },
    });
  });

  it("is signed as defined by Standard Webhooks", async () => {
    const { url, calls } = await startReceiver();
    await createProvider(url).send(mail, never);
    const { headers, body } = calls[0]!;
    expect(() => new Webhook(secret).verify(body, headers as Record<string, string>)).not.toThrow();
    // "base64(HMAC-SHA256(secret, {id}.{timestamp}.{payload}))", without the library.
    const signed = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
    const expected = createHmac("sha256", Buffer.alloc(32, 7)).update(signed).digest("base64");
    expect(headers["webhook-signature"]).toBe(`v1,${expected}`);
  });

  it("is signed with each of two secrets", async () => {
    const next = `whsec_${Buffer.alloc(64, 8).toString("base64")}`;
    const { url, calls } = await startReceiver();
    await createProvider(url, {}, readWebhookSecrets(`${next}, ${secret}`)).send(mail, never);
    const { headers, body } = calls[0]!;
    for (const one of [next, secret]) {
      expect(() => new Webhook(one).verify(body, headers as Record<string, string>)).not.toThrow();
    }
    expect(headers["webhook-signature"]).toMatch(/^v1,\S+ v1,\S+$/);
  });

  it("receives the return path (RFC 5321 §4.4) and the language of the mail", async () => {
    const { url, calls } = await startReceiver();
    const envelopeFrom = "bounces+163840776835432705-0a1b@example.com";
    await createProvider(url).send({ ...mail, envelopeFrom, language: "de" }, never);
    expect(JSON.parse(calls[0]!.body).data).toMatchObject({
      from: { address: "codes@example.com" },
      return_path: envelopeFrom,
      headers: { "Content-Language": "de" },
    });
  });

  it("F16 receives the same id and body with each attempt at a mail, and another id with another mail", async () => {
    const { url, calls } = await startReceiver();
    const provider = createProvider(url);
    await provider.send(mail, never);
    await provider.send(mail, never);
    await provider.send({ ...mail, messageId: "<def@id.example>" }, never);
    const ids = calls.map(({ headers }) => headers["webhook-id"]);
    expect(ids[0]).toMatch(/^msg_[\w-]{32}$/);
    expect(ids[1]).toBe(ids[0]);
    expect(ids[2]).not.toBe(ids[0]);
    expect(calls[1]?.body).toBe(calls[0]?.body);
  });

  it.each<[number, object]>([
    [200, { kind: "sent" }],
    [202, { kind: "sent" }],
    [204, { kind: "sent" }],
    [400, { kind: "reject", reason: "webhook 400" }],
    [409, { kind: "reject", reason: "webhook 409" }],
    [422, { kind: "reject", reason: "webhook 422" }],
    [401, { kind: "retry", reason: "webhook 401" }],
    [403, { kind: "retry", reason: "webhook 403" }],
    [404, { kind: "retry", reason: "webhook 404" }],
    [408, { kind: "retry", reason: "webhook 408" }],
    [410, { kind: "retry", reason: "webhook 410" }],
    [429, { kind: "retry", reason: "webhook 429" }],
    [500, { kind: "retry", reason: "webhook 500" }],
    [502, { kind: "retry", reason: "webhook 502", mayHaveArrived: true }],
    [503, { kind: "retry", reason: "webhook 503" }],
    [504, { kind: "retry", reason: "webhook 504", mayHaveArrived: true }],
  ])("determines the result with %i", async (answer, expected) => {
    const { url } = await startReceiver(status(answer));
    expect(await createProvider(url).send(mail, never)).toEqual(expected);
  });

  it.each([301, 302, 303, 307, 308])("is not followed to another URL: %i", async (redirect) => {
    const elsewhere = await startReceiver();
    const { url } = await startReceiver((response) =>
      response.writeHead(redirect, { location: elsewhere.url }).end(),
    );
    const result = await createProvider(url).send(mail, never);
    expect(result).toEqual({ kind: "retry", reason: `webhook ${redirect}` });
    expect(elsewhere.calls).toEqual([]);
  });

  it("F12 causes a retry if it is down", async () => {
    const result = await createProvider("http://127.0.0.1:1/").send(mail, never);
    expect(result).toEqual({ kind: "retry", reason: "webhook connection" });
  });

  it("F13 causes a retry if it accepts no connection in time", async () => {
    const port = await startDeafListener();
    const provider = createProvider(`http://127.0.0.1:${port}/`, { connectMs: 200 });
    expect(await provider.send(mail, never)).toEqual({ kind: "retry", reason: "webhook connection" });
  });

  it("T27 receives nothing without TLS, or if its certificate is not trusted", async () => {
    const silent = await startScriptedRelay({ greeting: "(silence)" });
    const provider = createProvider(`https://127.0.0.1:${silent.port}/`, { connectMs: 200 });
    expect(await provider.send(mail, never)).toEqual({ kind: "retry", reason: "webhook connection" });
    for (const secret of [code, mail.to, "webhook"]) expect(silent.bytes()).not.toContain(secret);

    const { port, received } = await startUntrusted();
    const result = await createProvider(`https://127.0.0.1:${port}/`).send(mail, never);
    expect(result).toEqual({ kind: "retry", reason: "webhook connection" });
    expect(received).toEqual([]);
  });

  it("F13, F16 may have the mail if it does not answer or disconnects", async () => {
    const silent = await startReceiver(() => {});
    expect(await createProvider(silent.url, { sendMs: 300 }).send(mail, never)).toEqual({
      kind: "retry",
      reason: "timeout",
      mayHaveArrived: true,
    });
    const gone = await startReceiver((response) => void response.destroy());
    expect(await createProvider(gone.url).send(mail, never)).toEqual({
      kind: "retry",
      reason: "webhook connection",
      mayHaveArrived: true,
    });
  });

  it("does not accept the mail by switching protocols", async () => {
    const { url } = await startReceiver((response) => {
      response.socket?.end("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    });
    expect(await createProvider(url).send(mail, never)).toMatchObject({ kind: "retry" });
  });

  it("F13 accepts the mail with an endless answer", async () => {
    const { url } = await startReceiver((response) => void response.writeHead(200).write("x"));
    expect(await createProvider(url).send(mail, never)).toEqual({ kind: "sent" });
  });

  it("ends on abort", async () => {
    const stopping = new AbortController();
    const { url } = await startReceiver(() => stopping.abort());
    expect(await createProvider(url).send(mail, stopping.signal)).toMatchObject({ kind: "retry" });
  });

  it.each([["a@x.io,b@y.io"], ["a@x.io\r\nBcc: b@y.io"], [`"${code}"@x.io`]])(
    "T21, T26 does not receive a mail to %j",
    async (to) => {
      const { url, calls } = await startReceiver();
      expect(await createProvider(url).send({ ...mail, to }, never)).toEqual({
        kind: "reject",
        reason: "address",
      });
      expect(calls).toEqual([]);
    },
  );

  it.each([
    [""],
    ["whsec_"],
    ["hidden"],
    [Buffer.alloc(32).toString("base64")],
    [`whsec_${Buffer.alloc(23).toString("base64")}`],
    [`whsec_${Buffer.alloc(65).toString("base64")}`],
    [`whsec_${"*".repeat(40)}`],
  ])("has no secret like %j", (wrong) => {
    for (const list of [wrong, `${secret},${wrong || "x"}`]) {
      expect(() => readWebhookSecrets(list)).toThrow(/must be "whsec_"/);
      expect(() => readWebhookSecrets(list)).not.toThrow(/hidden/);
    }
  });
});
