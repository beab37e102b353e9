import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Client, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { beforeAll, expect, onTestFinished } from "vitest";
import { ChallengeService } from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { type App, createApp } from "../../src/app/app.ts";
import type { Permission } from "../../src/auth/principal.ts";
import { readConfig } from "../../src/config/config.ts";
import { createLog } from "../../src/lib/log.ts";
import { MovableClock } from "./clock.ts";
import { databaseUrlOf } from "./db/database.ts";
import { type OnEnd, temporaryFolder } from "./folder.ts";
import { createRestTransport } from "./rest-transport.ts";

export type UserClient = Client<typeof UserService>;
export type ChallengeClient = Client<typeof ChallengeService>;

export const protocols = ["Connect JSON", "Connect proto", "gRPC", "gRPC-Web", "REST"] as const;
export type Protocol = (typeof protocols)[number];

export interface Mail {
  readonly id: string;
  readonly to: string;
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface TestApp {
  readonly app: App;
  readonly origin: string;
  readonly clock: MovableClock;
  readonly dataDir: string;
  /** All lines of the log. */
  readonly logLines: string[];
  /** A token that is valid for an hour of the clock. Without `org`, the permissions apply to all organizations. */
  token(subject: string, options?: { org?: string; permissions?: Permission[] }): Promise<string>;
  /** A client that sends the token, if there is one. */
  client(token: string | undefined, protocol?: Protocol): UserClient;
  /** A client of ChallengeService. */
  challengeClient(token: string | undefined, protocol?: Protocol): ChallengeClient;
  /** A client with `user.write` in all organizations. */
  admin(protocol?: Protocol): Promise<UserClient>;
  /** Waits for `count` mails to the address and returns them, newest first. */
  mails(to: string, count?: number): Promise<Mail[]>;
}

interface TestAppOptions {
  readonly environment?: Record<string, string>;
  readonly dataDir?: string;
  readonly clock?: MovableClock;
  /** Where to register the cleanup. By default, at the end of the test. */
  readonly onEnd?: OnEnd;
}

/** Starts the service on a free port, with a real database, SMTP server and listener. The test moves the clock. */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const { clock = new MovableClock(), onEnd = onTestFinished } = options;
  const dataDir = options.dataDir ?? join(temporaryFolder(onEnd), "data");
  const logLines: string[] = [];
  const log = createLog("trace", { write: (line) => void logLines.push(line) });
  const environment = {
    COUNTERSIGN_LISTEN: "127.0.0.1:0",
    COUNTERSIGN_DATA_DIR: dataDir,
    COUNTERSIGN_DATABASE_URL: await databaseUrlOf(dataDir, onEnd),
    ...options.environment,
  };
  const app = await createApp(readConfig("dev", environment), { clock, log });
  onEnd(async () => app[Symbol.asyncDispose]());

  const test: TestApp = {
    app,
    origin: app.origin,
    clock,
    dataDir,
    logLines,
    token(subject, { org, permissions = [] } = {}) {
      if (!app.localIssuer) throw new Error("the app does not accept tokens of the local issuer");
      const claims = { subject, org, permissions, audience: "countersign", ttlMs: 3_600_000 };
      return app.localIssuer.issue(claims, clock);
    },
    client: (token, protocol = "Connect JSON") =>
      createClient(UserService, withToken(transport(app.origin, protocol), token)),
    challengeClient: (token, protocol = "Connect JSON") =>
      createClient(ChallengeService, withToken(transport(app.origin, protocol), token)),
    async admin(protocol) {
      return test.client(await test.token("admin", { permissions: ["user.write"] }), protocol);
    },
    mails: (to, count = 1) => waitForMails(app.origin, to, count),
  };
  return test;
}

/**
 * Starts one app for all tests of a describe block or file. For tests that don't move the clock and are independent of
 * each other's data: starting an app takes longer than most tests.
 *
 * @param options.setUp runs once, before the first test.
 */
export function shareTestApp(
  options: { environment?: Record<string, string>; setUp?: (test: TestApp) => Promise<unknown> } = {},
): () => TestApp {
  const { environment = {}, setUp } = options;
  let test: TestApp;
  beforeAll(async () => {
    const cleanups: Parameters<OnEnd>[0][] = [];
    test = await startTestApp({ environment, onEnd: (end) => cleanups.unshift(end) });
    await setUp?.(test);
    return async () => {
      for (const end of cleanups) await end();
    };
  });
  return () => test;
}

/** Returns a transport. Connect proto and gRPC use HTTP/2, the others HTTP/1.1. */
export function transport(baseUrl: string, protocol: Protocol): Transport {
  switch (protocol) {
    case "Connect JSON":
      return createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false });
    case "Connect proto":
      return createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true });
    case "gRPC":
      return createGrpcTransport({ baseUrl });
    case "gRPC-Web":
      return createGrpcWebTransport({ baseUrl, httpVersion: "1.1" });
    case "REST":
      return createRestTransport({ baseUrl });
  }
}

/** Adds the token to every call, if there is one. */
export function withToken(transport: Transport, token: string | undefined): Transport {
  if (token === undefined) return transport;
  const signed = (header: ConstructorParameters<typeof Headers>[0]) => {
    const headers = new Headers(header);
    headers.set("authorization", `Bearer ${token}`);
    return headers;
  };
  return {
    unary: (method, signal, timeoutMs, header, input, values) =>
      transport.unary(method, signal, timeoutMs, signed(header), input, values),
    stream: (method, signal, timeoutMs, header, input, values) =>
      transport.stream(method, signal, timeoutMs, signed(header), input, values),
  };
}

async function waitForMails(origin: string, to: string, count: number): Promise<Mail[]> {
  const url = `${origin}/dev/mailbox/messages?to=${encodeURIComponent(to)}`;
  for (let tries = 0; tries < 500; tries++) {
    const mails = (await (await fetch(url)).json()) as Mail[];
    if (mails.length >= count) return mails;
    await sleep(20);
  }
  throw new Error(`the mailbox did not receive ${count} mails`);
}

/** The enrolment code in a mail, which is on a line of its own. */
export function codeIn(mail: Mail): string {
  const code = /^[0-9A-HJKMNP-TV-Z]{8}$/m.exec(mail.text)?.[0];
  expect(code, mail.text).toBeDefined();
  return code ?? "";
}

/** Another code of the same format. */
export function wrongCode(code: string, number = 1): string {
  const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
  const last = alphabet.indexOf(code.at(-1) ?? "");
  return code.slice(0, -1) + alphabet[(last + number) % alphabet.length];
}
