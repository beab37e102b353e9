import type { Kysely } from "kysely";
import { isId } from "../../db/core/id.ts";
import type { DB, OutboxRow } from "../../db/core/schema.ts";
import type { Store } from "../../db/store.ts";
import { noticeKindOf } from "../../mail/outbox/enqueue.ts";
import { findUser } from "../../users/user.ts";
import { liveLoginCode, pendingChallenge } from "../challenges/live-challenge.ts";
import { type LiveCodeContext, liveCode } from "../enrolment/live-code.ts";
import { findOTPEmail } from "../enrolment/read.ts";
import { isSuppressed } from "./suppressions.ts";

export type RetryContext = LiveCodeContext & { readonly store: Store };

/** What came of the wish to send a mail again. All but `queued`: nothing was changed, and why. */
export type Retried = "queued" | "unknown" | "not failed" | "dead" | "not active" | "suppressed" | "waiting";

/**
 * Queues a mail again that has failed, with the code that it is about and its Message-ID. Only while that code lives: nobody
 * is to get a code that does not work.
 */
export async function retryMail(context: RetryContext, mailId: string): Promise<Retried> {
  const { store, clock } = context;
  const mail = isId(mailId)
    ? await store.db.selectFrom("outbox").selectAll().where("mail_id", "=", mailId).executeTakeFirst()
    : undefined;
  if (!mail) return "unknown";
  if (mail.state !== "failed") return "not failed";
  const obstacle = await findObstacle(context, mail);
  if (obstacle) return obstacle;

  const now = clock.now();
  // Whatever has changed since is seen by the courier: it looks at the code when it hands the mail over.
  const { numUpdatedRows } = await store.write((trx) =>
    trx
      .updateTable("outbox")
      .set({
        state: "queued",
        attempts: 0,
        next_attempt_time: now,
        settle_time: null,
        reason: null,
        bounce_time: null,
      })
      .where("mail_id", "=", mailId)
      .where("state", "=", "failed")
      .where("expire_time", ">", now)
      .where(({ not, exists, selectFrom }) =>
        not(
          exists(
            selectFrom("outbox as other")
              .select("other.mail_id")
              .where("other.otp_email_id", "=", mail.otp_email_id)
              .where("other.purpose", "=", mail.purpose)
              .where("other.code_salt", "=", mail.code_salt)
              .where("other.state", "=", "queued")
              // Notices have no code in common: each is a mail of its own.
              .where("other.code_salt", "!=", new Uint8Array()),
          ),
        ),
      )
      .executeTakeFirst(),
  );
  return numUpdatedRows > 0n ? "queued" : "waiting";
}

/** The mails that have failed and whose code may live, oldest first: `most` of them, behind the id `after`. */
export async function failedMails(
  { store, clock }: RetryContext,
  { after, most }: { after: string; most: number },
): Promise<string[]> {
  const rows = await store.db
    .selectFrom("outbox")
    .select("mail_id")
    .where("state", "=", "failed")
    .where("mail_id", ">", after)
    .where("expire_time", ">", clock.now())
    .orderBy("mail_id")
    .limit(most)
    .execute();
  return rows.map((row) => row.mail_id);
}

async function findObstacle(context: RetryContext, mail: OutboxRow): Promise<Retried | undefined> {
  const { db } = context.store;
  const now = context.clock.now();
  if (mail.expire_time <= now) return "dead";
  const row = await findOTPEmail(db, mail.user_id, mail.otp_email_id);
  if (!row) return "dead";
  if (await isSuppressed(context, row)) return "suppressed";
  if (noticeKindOf(mail)) return undefined;
  if ((await findUser(db, mail.user_id))?.state !== "active") return "not active";
  const isLocked = row.locked_until !== null && row.locked_until > now;
  const code = mail.purpose === "login" ? await loginCodeOf(context, db, mail) : liveCode(context, row);
  return code && !isLocked && Buffer.from(code.salt).equals(mail.code_salt) ? undefined : "dead";
}

async function loginCodeOf(context: RetryContext, db: Kysely<DB>, { otp_email_id }: OutboxRow) {
  const challenge = await pendingChallenge(db, otp_email_id);
  return challenge && liveLoginCode(context, challenge);
}
