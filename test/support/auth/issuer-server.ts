import { sign as cryptoSign, KeyObject } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { inspect } from "node:util";
import { exportJWK, generateKeyPair, type JWK } from "jose";
import { expect, onTestFinished } from "vitest";
import type { Clock } from "../../../src/lib/clock.ts";
import { Refusal } from "../../../src/lib/refusal.ts";

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** A real HTTP server whose answers can be changed, and which remembers the paths it was asked for. */
export interface IssuerServer {
  readonly origin: string;
  readonly asked: string[];
  /** By path. Any other path is 404. */
  readonly answers: Map<string, Answer>;
  /** Resolves when `count` requests have arrived in all. */
  askedTimes(count: number): Promise<void>;
}

/** Starts one for the running test. */
export async function startServer(): Promise<IssuerServer> {
  const asked: string[] = [];
  const answers = new Map<string, Answer>();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push(path);
    server.emit("asked");
    const answer = answers.get(path);
    if (answer) answer(request, response);
    else response.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    answers,
    async askedTimes(count) {
      while (asked.length < count) await once(server, "asked");
    },
  };
}

export function json(value: unknown, type = "application/json"): Answer {
  return (_, response) => response.writeHead(200, { "content-type": type }).end(JSON.stringify(value));
}

/** A server that publishes these keys at `/keys`, as the issuer of its own origin. */
export async function startIssuer(...keys: readonly TestKey[]) {
  const server = await startServer();
  const publish = (...published: readonly TestKey[]) =>
    server.answers.set("/keys", json({ keys: published.map(({ jwk }) => jwk) }));
  publish(...keys);
  return Object.assign(server, {
    publish,
    config: { issuer: server.origin, jwksUri: `${server.origin}/keys` },
  });
}

export interface TestKey {
  readonly alg: string;
  /** Public. */
  readonly jwk: JWK;
  readonly privateKey: KeyObject;
}

export async function makeKey(alg: string, kid: string | undefined): Promise<TestKey> {
  const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await exportJWK(publicKey)), alg, use: "sig", ...(kid !== undefined && { kid }) };
  return { alg, jwk, privateKey: KeyObject.from(privateKey) };
}

export const audience = "countersign.example";

/** Good claims. Every text in them starts with `claim-` where the specification leaves it open. */
export function goodClaims(issuer: string, clock: Clock) {
  const iat = Math.floor(clock.now() / 1000);
  return {
    iss: issuer,
    sub: "claim-subject",
    aud: audience,
    client_id: "claim-client",
    iat,
    exp: iat + 3600,
    jti: "claim-jti",
    scope: "user.read claim-scope",
  };
}

type Part = Readonly<Record<string, unknown>> | string | Buffer;

/** Signs anything at all as a JWS in compact form. A part that is a string is taken as the JSON text itself. */
export function signToken(key: TestKey, claims: Part, header: Part = {}): string {
  const full =
    typeof header === "string" || Buffer.isBuffer(header)
      ? header
      : { alg: key.alg, typ: "at+jwt", kid: key.jwk.kid, ...header };
  const input = `${encode(full)}.${encode(claims)}`;
  return `${input}.${signBytes(key, input).toString("base64url")}`;
}

function signBytes({ alg, privateKey }: TestKey, input: string): Buffer {
  const data = Buffer.from(input);
  if (alg === "EdDSA") return cryptoSign(null, data, privateKey);
  if (alg === "ES256") return cryptoSign("sha256", data, { key: privateKey, dsaEncoding: "ieee-p1363" });
  // 6 is RSA_PKCS1_PSS_PADDING, 1 is RSA_PKCS1_PADDING.
  if (alg === "PS256") return cryptoSign("sha256", data, { key: privateKey, padding: 6, saltLength: 32 });
  return cryptoSign("sha256", data, { key: privateKey, padding: 1 });
}

export function encode(part: Part): string {
  const bytes = typeof part === "string" || Buffer.isBuffer(part) ? part : JSON.stringify(part);
  return Buffer.from(bytes).toString("base64url");
}

/** What an authentication comes to: `ok`, or the reason of the refusal. A refusal that quotes the token fails. */
export async function outcome(authentication: Promise<unknown>, token = ""): Promise<string> {
  const error = await failureOf(authentication);
  if (error === undefined) return "ok";
  const said = inspect([error.message, error.field, error.cause], { depth: null });
  for (const secret of ["claim-", ...token.split(".").filter((part) => part.length > 8)]) {
    expect(said).not.toContain(secret);
  }
  return error.reason;
}

export async function failureOf(authentication: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await authentication;
    return undefined;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}
