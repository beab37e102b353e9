import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { simpleParser } from "mailparser";
import {
  UserService,
  type WatchEventsRequest,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { type Protocol, protocols, startTestApp, type TestApp, transport } from "../app.ts";
import { MovableClock } from "../clock.ts";
import { type Refusal, refusalOf } from "../errors.ts";
import { temporaryFolder } from "../folder.ts";
import { refusal as smtpRefusal, startRelay } from "../mail/relay.ts";
import { waitFor } from "../wait-for.ts";
import type { Caller } from "./access.ts";
import { minute, second, settings } from "./world.ts";

export interface CallOptions {
  readonly caller: Caller;
  readonly protocol: Protocol;
  readonly key?: string | undefined;
}

export type Result<O> = { readonly reply: O } | { readonly refusal: Refusal };

/** A mail that the relay received. */
export interface ReceivedMail {
  readonly to: string;
  readonly text: string;
}

/** A mail in the queue of the service. */
export interface WaitingMail {
  readonly otpEmailId: string;
  readonly purpose: string;
  readonly createTime: number;
  readonly dueTime: number;
}

/** The real service with a mail server. Keeps its database when it restarts. */
export interface System extends AsyncDisposable {
  /** Whether the relay accepts mails. */
  relayIsUp: boolean;
  /** The number of steps so far: calls, moves of the clock, restarts and so on. */
  steps: number;
  /** Repeats the last call with an Idempotency-Key. */
  again: ((protocol: Protocol) => Promise<void>) | undefined;
  /** The known positions of events, by event. */
  readonly positions: Map<string, bigint>;
  call<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    message: MessageShape<I>,
    options: CallOptions,
  ): Promise<Result<MessageShape<O>>>;
  watch(
    message: WatchEventsRequest,
    options: CallOptions & { signal: AbortSignal },
  ): Promise<AsyncIterable<MessageShape<typeof UserService.method.watchEvents.output>>>;
  keysOfProofs(): Promise<string>;
  moveTo(time: number): Promise<void>;
  /** Restarts with a new code key in front of the others. */
  restart(): Promise<void>;
  /** Waits until expired data is deleted. */
  swept(): Promise<void>;
  /** Waits until all mails that are due are settled, and returns those received since the last call. */
  mails(): Promise<{ received: ReceivedMail[]; waiting: WaitingMail[] }>;
}

const environment = {
  COUNTERSIGN_PUBLIC_URL: settings.publicUrl,
  COUNTERSIGN_PROOF_AUDIENCES: settings.audiences.join(),
  COUNTERSIGN_OTP_EMAILS_MAX: `${settings.otpEmailsMax}`,
  COUNTERSIGN_ATTEMPTS_IN_ROW_MAX: `${settings.attemptsInRowMax}`,
  COUNTERSIGN_MAILS_PER_DAY_MAX: `${settings.mailsPerDayMax}`,
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: `${settings.clientMailsPerHourMax}`,
  COUNTERSIGN_NOTICES_PER_DAY_MAX: `${settings.noticesPerDayMax}`,
};

export async function startSystem(startTime: number): Promise<System> {
  const clock = new MovableClock(startTime);
  const dataDir = join(temporaryFolder(), "data");
  const relay = await startRelay({
    onMail() {
      if (!system.relayIsUp) throw smtpRefusal(451, "4.3.2 not now");
    },
  });
  let test: TestApp;
  let transports: ReadonlyMap<Protocol, Transport>;
  const keys: string[] = [];
  async function start() {
    keys.unshift(`k${keys.length}:${randomBytes(32).toString("base64")}`);
    const more = {
      COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
      COUNTERSIGN_KEYS: keys.join(),
    };
    test = await startTestApp({ dataDir, clock, environment: { ...environment, ...more } });
    transports = new Map(protocols.map((protocol) => [protocol, transport(test.origin, protocol)]));
  }

  const tokens = new Map<string, string>();
  async function issueToken({ token, subject, orgId: org, permissions }: Caller): Promise<string> {
    const claims = { subject, org, permissions, audience: "countersign", ttlMs: second };
    const issueTime = token === "expired" ? clock.now() - minute : clock.now();
    return test.app.localIssuer!.issue(claims, new MovableClock(issueTime));
  }

  async function headersOf({ caller, key }: CallOptions): Promise<Record<string, string>> {
    const headers: Record<string, string> = key === undefined ? {} : { "idempotency-key": key };
    if (caller.token === "none") return headers;
    const name = JSON.stringify([caller, clock.now()]);
    const jwt = tokens.get(name) ?? (await issueToken(caller));
    tokens.set(name, jwt);
    return { ...headers, authorization: `Bearer ${jwt}` };
  }

  const transportOf = (protocol: Protocol) => transports.get(protocol)!;

  const system: System = {
    relayIsUp: true,
    steps: 0,
    again: undefined,
    positions: new Map(),
    async call(method, message, options) {
      const headers = await headersOf(options);
      try {
        const { unary } = transportOf(options.protocol);
        const input = message as MessageInitShape<typeof method.input>;
        const { message: reply } = await unary(method, undefined, undefined, headers, input);
        return { reply };
      } catch (error) {
        return { refusal: await refusalOf(Promise.reject(error)) };
      }
    },
    async watch(message, options) {
      const headers = await headersOf(options);
      const client = createClient(UserService, transportOf(options.protocol));
      return client.watchEvents(message, { headers, signal: options.signal });
    },
    async keysOfProofs() {
      return (await fetch(`${test.origin}/.well-known/jwks.json`)).text();
    },
    async moveTo(time) {
      clock.move(time - clock.now());
      await settleDown();
    },
    async restart() {
      await test.app[Symbol.asyncDispose]();
      await start();
      await settleDown();
    },
    swept: () => waitFor("expired data is deleted", () => isSwept(test, clock.now())).then(settleDown),
    async mails() {
      const waiting = await waitFor("all mails that are due are settled", async () => {
        const rows = await waitingMails(test);
        return rows.every(({ dueTime }) => dueTime > clock.now()) && rows;
      });
      const received = relay.received.splice(0);
      return { waiting, received: await Promise.all(received.map(parse)) };
    },
    [Symbol.asyncDispose]: async () => {
      await test.app[Symbol.asyncDispose]();
      await relay.stop();
    },
  };
  await start();
  return system;
}

/** Lets timers of the moved clock run, and wait again from the new time. */
async function settleDown(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
}

async function isSwept({ app }: TestApp, now: number): Promise<boolean> {
  for (const table of ["hits", "idempotency_keys", "removed_otp_emails", "challenges"] as const) {
    const expired = app.store.db.selectFrom(table).select("expire_time").where("expire_time", "<=", now);
    if (await expired.executeTakeFirst()) return false;
  }
  return true;
}

async function waitingMails({ app }: TestApp): Promise<WaitingMail[]> {
  const rows = await app.store.db
    .selectFrom("outbox")
    .select(["otp_email_id", "purpose", "create_time", "next_attempt_time"])
    .where("state", "=", "queued")
    .orderBy("mail_id")
    .execute();
  return rows.map((row) => ({
    otpEmailId: row.otp_email_id,
    purpose: row.purpose.replace(/\..*/, ""),
    createTime: row.create_time,
    dueTime: row.next_attempt_time,
  }));
}

async function parse({ to, raw }: { to: string[]; raw: string }): Promise<ReceivedMail> {
  const { text = "" } = await simpleParser(Buffer.from(raw, "latin1"));
  return { to: to.join(), text };
}
