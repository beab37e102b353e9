import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { SMTPServerAuthentication } from "smtp-server";
import { describe, expect, it, onTestFinished } from "vitest";
import type { OAuthSettings } from "../../../src/mail/mailer.ts";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { from, mail, never } from "../../support/mail/outgoing-mail.ts";
import { certificate, startRelay, startTap } from "../../support/mail/relay.ts";

/** A relay with TLS that requires a login with this method, and the credentials it received. */
async function startAuthRelay(method: string, isRight: (auth: SMTPServerAuthentication) => boolean) {
  const logins: SMTPServerAuthentication[] = [];
  const relay = await startRelay({
    ...certificate("relay"),
    authOptional: false,
    authMethods: [method],
    onAuth(auth, _session, callback) {
      logins.push(auth);
      if (isRight(auth)) return callback(null, { user: auth.username });
      // RFC 7628 §3.2.2: the error as JSON.
      callback(null, { data: { status: "401", schemes: "bearer" } });
    },
  });
  return { relay, logins };
}

function createMailer(userinfo: string, port: number, oauth?: OAuthSettings) {
  const [user, query = ""] = userinfo.split("?");
  const url = `smtp://${user}@localhost:${port}${query && `?${query}`}`;
  const mailer = createSmtpMailer({ url, from, oauth, requireTls: true, ca: certificate("relay").cert });
  onTestFinished(() => mailer[Symbol.asyncDispose]());
  return mailer;
}

/** A token endpoint (RFC 6749 §3.2) that gives these answers in order, then repeats the last. */
async function startTokenServer(...answers: { status: number; body: string; location?: string }[]) {
  const requests: URLSearchParams[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    requests.push(new URLSearchParams(body));
    const answer = answers[Math.min(requests.length, answers.length) - 1]!;
    const location = answer.location ? { location: answer.location } : {};
    response.writeHead(answer.status, { "content-type": "application/json", ...location }).end(answer.body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const tokenUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
  const oauth = { tokenUrl, clientId: "client", clientSecret: "client-secret", refreshToken: "refresh" };
  return { oauth, requests };
}

const token = (accessToken: string) => ({
  status: 200,
  body: JSON.stringify({ access_token: accessToken, token_type: "Bearer", expires_in: 3600 }),
});

describe("a password", () => {
  it.each(["PLAIN", "LOGIN"])("T27 is sent with AUTH %s, only under TLS", async (method) => {
    const { relay, logins } = await startAuthRelay(method, ({ password }) => password === "p@ss");
    const tap = await startTap(relay.port);
    expect(await createMailer("user:p%40ss", tap.port).send(mail, never)).toEqual({ kind: "sent" });
    expect(logins).toMatchObject([{ method, username: "user", password: "p@ss" }]);
    expect(tap.bytes()).not.toMatch(/AUTH|p@ss|dXNlcg|cEBzcw/);
  });
});

describe("XOAUTH2", () => {
  it("logs in with an access token, requested once for all mails", async () => {
    const { oauth, requests } = await startTokenServer(token("first"));
    const { relay, logins } = await startAuthRelay("XOAUTH2", ({ accessToken }) => accessToken === "first");
    const mailer = createMailer("otp%40example.com?auth=xoauth2", relay.port, oauth);
    for (let i = 0; i < 3; i++) expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    expect(logins[0]).toMatchObject({ method: "XOAUTH2", username: "otp@example.com", accessToken: "first" });
    expect(requests.map((request) => Object.fromEntries(request))).toEqual([
      {
        grant_type: "refresh_token",
        client_id: "client",
        client_secret: "client-secret",
        refresh_token: "refresh",
      },
    ]);
  });

  it("requests a new access token if the relay rejects the old one", async () => {
    const { oauth, requests } = await startTokenServer(token("first"), token("second"));
    const { relay } = await startAuthRelay("XOAUTH2", ({ accessToken }) => accessToken === "second");
    const mailer = createMailer("otp?auth=xoauth2", relay.port, oauth);
    expect(await mailer.send(mail, never)).toEqual({ kind: "sent" });
    expect(requests).toHaveLength(2);
  });

  it.each([
    ["refuses", { status: 400, body: '{"error":"invalid_grant","error_description":"ABCD2345 refresh"}' }],
    ["fails", { status: 500, body: "ABCD2345" }],
    ["does not answer with JSON", { status: 200, body: "<html>" }],
    ["redirects", { status: 302, body: "", location: "http://127.0.0.1:1/" }],
  ])("causes a retry without details if the token endpoint %s", async (_name, answer) => {
    const { oauth } = await startTokenServer(answer);
    const { relay, logins } = await startAuthRelay("XOAUTH2", () => true);
    const result = await createMailer("otp?auth=xoauth2", relay.port, oauth).send(mail, never);
    expect(result).toMatchObject({ kind: "retry" });
    expect(JSON.stringify(result)).toMatch(/^\{"kind":"retry","reason":"(auth|connection)"\}$/);
    expect(logins).toEqual([]);
  });

  it("causes a retry if the relay rejects every token", async () => {
    const { oauth } = await startTokenServer(token("first"));
    const { relay } = await startAuthRelay("XOAUTH2", () => false);
    const result = await createMailer("otp?auth=xoauth2", relay.port, oauth).send(mail, never);
    expect(result).toMatchObject({ kind: "retry", reason: expect.stringMatching(/auth/) });
    expect(relay.received).toEqual([]);
  });

  it("requires OAuth settings", () => {
    expect(() => createMailer("otp?auth=xoauth2", 1)).toThrow(/access tokens/);
  });
});
