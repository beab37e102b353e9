import type { Transaction } from "kysely";
import { makeId, makeRandomId } from "../../db/core/id.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OutboxRow } from "../../db/core/schema.ts";
import type { Language } from "../../texts/languages.ts";
import { isWaiting, noLease } from "./lease.ts";

export interface NewMail {
  readonly purpose: string;
  readonly userId: string;
  readonly otpEmailId: string;
  /** Salt of the code in the mail. Two mails with the same salt have the same code. */
  readonly codeSalt: Uint8Array;
  /** Null: the link leads to the service's own page. */
  readonly urlTemplate: string | null;
  /** Requested language. Undefined: the user's own. */
  readonly language?: Language | undefined;
  /** When the code expires, in milliseconds since the epoch. */
  readonly expireTime: number;
  readonly messageIdDomain: string;
  /** Set if the authenticator is created in the same transaction, so that no other mail to it can exist. */
  readonly isFirst?: boolean | undefined;
}

/**
 * Queues a mail, in the transaction that creates its code.
 *
 * Drops queued mails with older codes of the same authenticator. If a mail with the same code is still waiting, an
 * identical request leaves it unchanged. With another link or language it is replaced, under a new Message-ID because the
 * content differs (RFC 5322 §3.6.4).
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
 * Returns an unguessable Message-ID (RFC 5322 §3.6.4), with angle brackets. It starts with the time, so that new ids go to
 * the same page of the index (see docs/performance.md).
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

/** The change of an authenticator that a notice reports to the other addresses of the user. */
export type NoticeKind = keyof typeof noticePurposes;

const noticePurposes = {
  added: "notice.added",
  verified: "notice.verified",
  removed: "notice.removed",
} as const;

/** Returns undefined if the mail is not a notice. */
export function noticeKindOf({ purpose }: Pick<OutboxRow, "purpose">): NoticeKind | undefined {
  return (Object.keys(noticePurposes) as NoticeKind[]).find((kind) => noticePurposes[kind] === purpose);
}

export interface NewNotice {
  readonly kind: NoticeKind;
  readonly userId: string;
  /** The recipient. */
  readonly otpEmailId: string;
  /** IP address that requested the change. Null if unknown. */
  readonly clientAddress: string | null;
  /** When the notice is no longer worth sending, in milliseconds since the epoch. */
  readonly expireTime: number;
  readonly messageIdDomain: string;
}

/** Queues a notice, in the transaction of the change that it reports. Notices never replace each other. */
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
