import type { ExpressionBuilder, Kysely, RawBuilder, Transaction } from "kysely";
import { makeId, makeRandomId } from "../../db/core/id.ts";
import { hasManyWriters, lockUser } from "../../db/core/lock.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, MailState, OTPEmailRow, OutboxRow } from "../../db/core/schema.ts";
import type { Store } from "../../db/store.ts";
import type { Language } from "../../texts/languages.ts";

export interface NewMail {
  readonly purpose: string;
  readonly userId: string;
  readonly otpEmailId: string;
  /** The salt of the code that the mail is about. */
  readonly codeSalt: Uint8Array;
  /** Null: the service's own page. */
  readonly urlTemplate: string | null;
  /** What the request asked for. Undefined: the user's own. */
  readonly language?: Language | undefined;
  /** When the code dies, in milliseconds since the epoch. */
  readonly expireTime: number;
  readonly messageIdDomain: string;
  /** Whether the authenticator is made in this transaction, so that there is no other mail about it. */
  readonly isFirst?: boolean | undefined;
}

export interface Claim {
  /** For how long nobody else may claim the rows, in milliseconds. */
  readonly leaseMs: number;
  /** How many rows at most. */
  readonly most: number;
  /** How many mails whose code has died are dropped at most: those who wait for the end of it wait the longer. */
  readonly mostExpired?: number;
  readonly leaseId: string;
  readonly onSettle?: OnSettle | undefined;
  /** Told after the commit which mails were dropped because their code had died. */
  readonly onExpired?: (rows: OutboxRow[]) => void;
}

/** Written along with what came of a mail, in the same transaction. */
export type OnSettle = (trx: Transaction<DB>, row: OutboxRow) => Promise<void>;

/** What came of a claimed mail. `drop`: it was not handed over. `reason` never has the relay's own words. */
export type Outcome =
  | { readonly kind: "sent" }
  | { readonly kind: "reject"; readonly reason: string }
  | { readonly kind: "drop"; readonly reason: string }
  /** `isUnreached`: nobody was there to take it, so that it does no harm to look again soon. */
  | { readonly kind: "retry"; readonly reason: string; readonly isUnreached?: boolean };

const noLease = { lease_id: null, lease_until: null };

/** Milliseconds before the second attempt, the third, and so on. The first is at once, later ones wait the longest. */
const retryDelays = [2_000, 5_000, 15_000, 30_000, 60_000, 120_000];
const longestDelay = 240_000;

/** The longest while nobody can be reached: what waits leaves within 30 s of the return of the relay (F12). */
const longestUnreachedDelay = 25_000;

/** Up to a tenth on top, so that mails that failed together do not come back together. */
const jitter = 0.1;

/** How many due rows are looked at or dropped in one go at most, however long the queue is (F20). */
const windowSize = 500;

/**
 * Queues a mail, in the transaction that makes its code.
 *
 * Only the newest code of an authenticator is worth mailing: mails about another one are dropped. A mail about the same
 * code that still waits is the same mail and stands; with another link or in another language it is another one, hence with another Message-ID
 * (RFC 5322 §3.6.4), and takes the place of the first.
 */
export async function enqueue(trx: Transaction<DB>, now: number, mail: NewMail): Promise<void> {
  const { otpEmailId, purpose, codeSalt } = mail;
  const language = mail.language ?? null;
  if (!mail.isFirst) {
    await dropSuperseded(trx, { otpEmailId, purpose, codeSalt, now });
    const [waiting] = await selectWaiting(trx, { otpEmailId, purpose, now });
    if (waiting?.url_template === mail.urlTemplate && waiting.language === language) return;
    if (waiting) await trx.deleteFrom("outbox").where("mail_id", "=", waiting.mail_id).execute();
  }
  await insertMail(trx, {
    mail_id: makeId(now),
    purpose,
    user_id: mail.userId,
    otp_email_id: otpEmailId,
    code_salt: codeSalt,
    url_template: mail.urlTemplate,
    language,
    client_address: null,
    message_id: makeMessageId(now, mail.messageIdDomain),
    create_time: now,
    expire_time: mail.expireTime,
  });
}

/**
 * A Message-ID (RFC 5322 §3.6.4) that nobody can guess. It begins with the time, which the mail tells anyway: those of one
 * time stand together in their index, in the place of a page at random for each mail (11 us of CPU).
 */
export function makeMessageId(now: number, domain: string): string {
  return `<${now.toString(36)}.${makeRandomId()}@${domain}>`;
}

const selectWaiting = prepare((db, param: Param<{ otpEmailId: string; purpose: string; now: number }>) =>
  db
    .selectFrom("outbox")
    .select(["mail_id", "url_template", "language"])
    .where("otp_email_id", "=", param("otpEmailId"))
    .where("purpose", "=", param("purpose"))
    .where((eb) => isWaiting(eb, param("now"))),
);

type NewRow = Pick<
  OutboxRow,
  | "mail_id"
  | "purpose"
  | "user_id"
  | "otp_email_id"
  | "code_salt"
  | "url_template"
  | "language"
  | "client_address"
  | "message_id"
  | "create_time"
  | "expire_time"
>;

const insertMail = prepare((db, param: Param<NewRow>) =>
  db.insertInto("outbox").values({
    mail_id: param("mail_id"),
    purpose: param("purpose"),
    user_id: param("user_id"),
    otp_email_id: param("otp_email_id"),
    code_salt: param("code_salt"),
    url_template: param("url_template"),
    language: param("language"),
    client_address: param("client_address"),
    message_id: param("message_id"),
    state: "queued",
    attempts: 0,
    next_attempt_time: param("create_time"),
    expire_time: param("expire_time"),
    create_time: param("create_time"),
  }),
);

/** What a mail without a code tells of an authenticator of the same user. */
export type NoticeKind = keyof typeof noticePurposes;

const noticePurposes = {
  added: "notice.added",
  verified: "notice.verified",
  removed: "notice.removed",
} as const;

/** What a mail is a notice of, or undefined if it is about a code. */
export function noticeKindOf({ purpose }: Pick<OutboxRow, "purpose">): NoticeKind | undefined {
  return (Object.keys(noticePurposes) as NoticeKind[]).find((kind) => noticePurposes[kind] === purpose);
}

export interface NewNotice {
  readonly kind: NoticeKind;
  readonly userId: string;
  /** Whom it is sent to. */
  readonly otpEmailId: string;
  /** Where the change was asked for, where that is known. */
  readonly clientAddress: string | null;
  /** Until when it is worth sending, in milliseconds since the epoch. */
  readonly expireTime: number;
  readonly messageIdDomain: string;
}

/** Queues a notice, in the transaction of what it tells of. Each is a mail of its own. */
export async function enqueueNotice(trx: Transaction<DB>, now: number, notice: NewNotice): Promise<void> {
  await insertMail(trx, {
    mail_id: makeId(now),
    purpose: noticePurposes[notice.kind],
    user_id: notice.userId,
    otp_email_id: notice.otpEmailId,
    code_salt: new Uint8Array(),
    url_template: null,
    language: null,
    client_address: notice.clientAddress,
    message_id: makeMessageId(now, notice.messageIdDomain),
    create_time: now,
    expire_time: notice.expireTime,
  });
}

const dropSuperseded = prepare(
  (db, param: Param<{ otpEmailId: string; purpose: string; codeSalt: Uint8Array; now: number }>) =>
    db
      .updateTable("outbox")
      .set({ state: "dropped", reason: "superseded", settle_time: param("now"), ...noLease })
      .where("otp_email_id", "=", param("otpEmailId"))
      .where("purpose", "=", param("purpose"))
      .where("state", "=", "queued")
      .where("code_salt", "!=", param("codeSalt")),
);

/**
 * Takes mails that are due, those that have waited longest first. Nobody else gets them until `leaseMs` have passed: by
 * then the courier that took them is dead, and its mails are taken over. Mails whose code has died are dropped instead.
 */
export async function claim(store: Store, now: number, wanted: Claim): Promise<OutboxRow[]> {
  const { most, leaseId, leaseMs, mostExpired = windowSize } = wanted;
  const { expired, claimed } = await store.write(async (trx) => {
    // One writer alone need not look at more than it takes.
    const window = hasManyWriters(trx) ? windowSize : most;
    const leaseMore = (from: typeof lease) =>
      from(trx, { now, window, most: most - claimed.length, leaseId, leaseUntil: now + leaseMs });
    const claimed: OutboxRow[] = [];
    claimed.push(...(await leaseMore(lease)));
    // None of those that were looked at is dead.
    if (claimed.length === window) return { expired: [], claimed };
    const expired = await dropExpired(trx, { now, window: windowSize - claimed.length, most: mostExpired });
    for (const row of expired) {
      await keepStatus(trx, row);
      await wanted.onSettle?.(trx, row);
    }
    if (expired.length > 0 && claimed.length < most) claimed.push(...(await leaseMore(lease)));
    // Behind a backlog of dead mails those that live do not wait until all of it was dropped.
    const mayHideOthers = claimed.length === 0 || expired.length === mostExpired;
    if (mayHideOthers && claimed.length < most) claimed.push(...(await leaseMore(leaseNewest)));
    return { expired, claimed };
  });
  if (expired.length > 0) wanted.onExpired?.(expired);
  // RETURNING has no order of its own.
  return claimed.sort((a, b) => a.next_attempt_time - b.next_attempt_time);
}

// On SQLite, whether a row is free is asked in the window alone, under the lock of the transaction. Asked once more outside, it
// walks the whole queue: 100 ms instead of 1.5 ms with 500,000 rows waiting.

const dropExpired = prepare((db, param: Param<DueParams>) =>
  db
    .updateTable("outbox")
    .set({ state: "dropped", reason: "expired", settle_time: param("now"), ...noLease })
    .where("mail_id", "in", due(db, param, "<="))
    .returningAll(),
);

const lease = prepare((db, param: Param<LeaseParams>) => leaseDue(db, param, "asc"));
const leaseNewest = prepare((db, param: Param<LeaseParams>) => leaseDue(db, param, "desc"));

interface DueParams {
  readonly now: number;
  /** How many of those that are due are looked at. */
  readonly window: number;
  readonly most: number;
}

interface LeaseParams extends DueParams {
  readonly leaseId: string;
  readonly leaseUntil: number;
}

function leaseDue(db: Kysely<DB>, param: Param<LeaseParams>, order: "asc" | "desc") {
  return db
    .updateTable("outbox")
    .set((eb) => ({
      lease_id: param("leaseId"),
      lease_until: param("leaseUntil"),
      attempts: eb("attempts", "+", 1),
    }))
    .where("mail_id", "in", due(db, param, ">", order))
    .returningAll();
}

/**
 * The ids of mails that expire before or after now, among those that are due: the ones that have waited longest, or the
 * ones that have waited least, come first.
 */
function due(db: Kysely<DB>, param: Param<DueParams>, expiry: "<=" | ">", order: "asc" | "desc" = "asc") {
  const now = param("now");
  const window = db
    .selectFrom("outbox")
    .select(["mail_id", "next_attempt_time", "expire_time"])
    .where((eb) => isWaiting(eb, now))
    .where("next_attempt_time", "<=", now)
    .orderBy("next_attempt_time", order)
    .orderBy("mail_id", order)
    .limit(param("window"))
    .as("due");
  if (hasManyWriters(db)) {
    // Two that claim at a time get different rows, and neither waits for the other. Whether a row is free is asked once more,
    // under its lock. Without the window the whole queue is walked here, too: 120 ms with 1,000,000 dead rows, for one that lives.
    const rows = db
      .selectFrom("outbox")
      .innerJoin("users", "users.user_id", "outbox.user_id")
      .select("mail_id")
      .where("mail_id", "in", db.selectFrom(window).select("mail_id"))
      .where((eb) => isWaiting(eb, now))
      .where("expire_time", expiry, now)
      .orderBy("next_attempt_time", order)
      .orderBy("mail_id", order)
      .limit(param("most"));
    // What is dropped changes more of its user, whose row is locked first, as everywhere. The mails of one that is locked are
    // left for later: two that wait for one of 500 users each, with the others in hand, would wait for each other.
    return rows.forNoKeyUpdate(expiry === "<=" ? ["outbox", "users"] : ["outbox"]).skipLocked();
  }
  return db
    .selectFrom(window)
    .select("mail_id")
    .where("expire_time", expiry, now)
    .orderBy("next_attempt_time", order)
    .orderBy("mail_id", order)
    .limit(param("most"));
}

/** Queued, and in nobody's hands. */
function isWaiting(eb: ExpressionBuilder<DB, "outbox">, now: number | RawBuilder<number>) {
  return eb.and([
    eb("outbox.state", "=", "queued"),
    eb.or([eb("outbox.lease_until", "is", null), eb("outbox.lease_until", "<=", now)]),
  ]);
}

/** When the next mail that nobody holds is due, perhaps in the past. Undefined if there is none. */
export async function nextDueTime(db: Kysely<DB>, now: number): Promise<number | undefined> {
  const [row] = await selectNextDue(db, { now });
  return row?.next_attempt_time;
}

const selectNextDue = prepare((db, param: Param<{ now: number }>) =>
  db
    .selectFrom("outbox")
    .select("next_attempt_time")
    .where((eb) => isWaiting(eb, param("now")))
    .orderBy("next_attempt_time")
    .limit(1),
);

/** What a mail has become. */
export interface Settled {
  /** Still `queued` if there will be another attempt. */
  readonly state: MailState;
  readonly reason: string | null;
}

/**
 * Records what came of a claimed mail. After a `retry` it is queued again, or has failed if its code dies before the next
 * attempt.
 *
 * @returns undefined, and nothing is changed, if the lease is no longer the one of `row`: the mail is in other hands.
 */
export async function settle(
  store: Store,
  now: number,
  row: OutboxRow,
  outcome: Outcome,
  onSettle?: OnSettle,
): Promise<Settled | undefined> {
  const change = changeOf(now, row, outcome);
  return store.write(async (trx) => {
    await lockUser(trx, row.user_id);
    const [updated] = await updateHeld(trx, { ...change, mailId: row.mail_id, leaseId: row.lease_id });
    if (!updated) return undefined;
    await keepStatus(trx, updated);
    if (updated.state !== "queued") await onSettle?.(trx, updated);
    return { state: updated.state, reason: updated.reason };
  });
}

interface Change {
  readonly state: MailState;
  readonly reason: string | null;
  readonly settleTime: number | null;
  readonly nextAttemptTime: number;
}

const updateHeld = prepare((db, param: Param<Change & { mailId: string; leaseId: string | null }>) =>
  db
    .updateTable("outbox")
    .set({
      state: param("state"),
      reason: param("reason"),
      settle_time: param("settleTime"),
      next_attempt_time: param("nextAttemptTime"),
      ...noLease,
    })
    .where("mail_id", "=", param("mailId"))
    .where("lease_id", "=", param("leaseId"))
    .where("state", "=", "queued")
    .returningAll(),
);

export type SettledState = NonNullable<OTPEmailRow["mail_state"]>;

/** How far a mail has come, as the users of the service are told. Times are milliseconds since the epoch. */
export interface MailStatus {
  /** `deferred`: it could not be handed over yet and is tried again. `suppressed`: it was no longer wanted. */
  readonly state: "queued" | "deferred" | "sent" | "failed" | "suppressed";
  readonly createTime: number;
  /** Null while it waits. */
  readonly settleTime: number | null;
  /** Why it is not sent (yet): reply code and enhanced status, never the server's words. */
  readonly reason: string | null;
}

/** The mails that wait, by authenticator: the newest of each, unless a newer one was settled before it. */
export async function waitingMails(
  db: Kysely<DB>,
  otpEmailIds: readonly string[],
): Promise<ReadonlyMap<string, MailStatus>> {
  if (otpEmailIds.length === 0) return new Map();
  const rows = await db
    .selectFrom("outbox")
    .innerJoin("otp_emails", "otp_emails.otp_email_id", "outbox.otp_email_id")
    .select(["outbox.otp_email_id", "outbox.create_time", "outbox.reason"])
    .where("outbox.otp_email_id", "in", otpEmailIds)
    .where("outbox.state", "=", "queued")
    .where((eb) =>
      eb.or([eb("otp_emails.mail_id", "is", null), eb("outbox.mail_id", ">", eb.ref("otp_emails.mail_id"))]),
    )
    .orderBy("outbox.mail_id")
    .execute();
  return new Map(rows.map((row) => [row.otp_email_id, waitingStatus(row)]));
}

/** The mail about a code, if it waits. */
export async function waitingMail(
  db: Kysely<DB>,
  otpEmailId: string,
  codeSalt: Uint8Array,
): Promise<MailStatus | undefined> {
  const row = await db
    .selectFrom("outbox")
    .select(["create_time", "reason"])
    .where("otp_email_id", "=", otpEmailId)
    .where("code_salt", "=", codeSalt)
    .where("state", "=", "queued")
    .executeTakeFirst();
  return row && waitingStatus(row);
}

function waitingStatus({ create_time, reason }: Pick<OutboxRow, "create_time" | "reason">): MailStatus {
  return {
    state: reason === null ? "queued" : "deferred",
    createTime: create_time,
    settleTime: null,
    reason,
  };
}

/**
 * Keeps what came of a mail with its authenticator, unless a newer mail was settled before, and with its challenge. One that
 * waits is left.
 */
export async function keepStatus(trx: Transaction<DB>, mail: OutboxRow): Promise<void> {
  const state = keptState(mail);
  if (state === undefined) return;
  const kept = { ...mail, kept_state: state };
  if (mail.purpose === "login") await keepWithChallenge(trx, kept);
  await keepWithOTPEmail(trx, kept);
}

type Kept = OutboxRow & { readonly kept_state: SettledState };

const keepWithChallenge = prepare((db, param: Param<Kept>) =>
  db
    .updateTable("challenges")
    .set(statusColumns(param))
    .where("otp_email_id", "=", param("otp_email_id"))
    .where("code_salt", "=", param("code_salt")),
);

const keepWithOTPEmail = prepare((db, param: Param<Kept>) =>
  db
    .updateTable("otp_emails")
    .set(statusColumns(param))
    .where("otp_email_id", "=", param("otp_email_id"))
    .where((eb) => eb.or([eb("mail_id", "is", null), eb("mail_id", "<=", param("mail_id"))])),
);

function statusColumns(param: Param<Kept>) {
  return {
    mail_id: param("mail_id"),
    mail_state: param("kept_state"),
    mail_create_time: param("create_time"),
    mail_settle_time: param("settle_time"),
    mail_reason: param("reason"),
  };
}

/** Undefined while it waits. */
export function keptState({ state, reason }: OutboxRow): SettledState | undefined {
  if (state === "queued") return undefined;
  if (state !== "dropped") return state;
  // Its code died while it waited: nobody decided against it.
  return reason === "expired" ? "failed" : "suppressed";
}

/** Gives a claimed mail back as it was, for anyone to claim at once. */
export async function release(store: Store, row: OutboxRow): Promise<void> {
  await store.write((trx) =>
    trx
      .updateTable("outbox")
      .set(noLease)
      .where((eb) => isHeld(eb, row))
      .execute(),
  );
}

function isHeld(eb: ExpressionBuilder<DB, "outbox">, row: OutboxRow) {
  return eb.and({ mail_id: row.mail_id, lease_id: row.lease_id, state: "queued" });
}

function changeOf(now: number, row: OutboxRow, outcome: Outcome): Change {
  const settledAs = (state: MailState, reason: string | null) => ({
    state,
    reason,
    settleTime: now,
    nextAttemptTime: row.next_attempt_time,
  });
  if (outcome.kind === "sent") return settledAs("sent", null);
  if (outcome.kind === "drop") return settledAs("dropped", outcome.reason);
  if (outcome.kind === "reject") return settledAs("failed", outcome.reason);
  const next = now + delayAfter(row.attempts, outcome.isUnreached ? longestUnreachedDelay : longestDelay);
  if (next >= row.expire_time) return settledAs("failed", outcome.reason);
  return { state: "queued", reason: outcome.reason, settleTime: null, nextAttemptTime: next };
}

function delayAfter(attempts: number, longest: number): number {
  const delay = Math.min(retryDelays[attempts - 1] ?? longest, longest);
  return Math.round(delay * (1 + Math.random() * jitter));
}
