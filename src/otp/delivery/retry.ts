import type { Kysely } from "kysely";
import { isId } from "../../db/core/id.ts";
import type { DB, OutboxRow } from "../../db/core/schema.ts";
import type { Store } from "../../db/store.ts";
import { noticeKindOf } from "../../mail/outbox/enqueue.ts";
import { findMailById } from "../../mail/outbox/find-mail.ts";
import { requeue } from "../../mail/outbox/requeue.ts";
import { findUser } from "../../users/user.ts";
import { liveLoginCode, pendingChallenge } from "../challenges/live-challenge.ts";
import type { LiveCodeContext } from "../codes/live-code.ts";
import { liveCode } from "../enrolment/live-code.ts";
import { findOTPEmail } from "../enrolment/read.ts";
import { isSuppressed } from "./suppressions.ts";

export type RetryContext = LiveCodeContext & { readonly store: Store };

/** `queued`: the mail will be sent again. All others: nothing was changed, and why. */
export type Retried = "queued" | "unknown" | "not failed" | "dead" | "not active" | "suppressed" | "waiting";

/**
 * Queues a failed mail again, with the same code and Message-ID, but only while its code is alive: no one should get a code
 * that doesn't work.
 */
export async function retryMail(context: RetryContext, mailId: string): Promise<Retried> {
  const { store, clock } = context;
  const mail = isId(mailId) ? await findMailById(store.db, mailId) : undefined;
  if (!mail) return "unknown";
  if (mail.state !== "failed") return "not failed";
  const obstacle = await findObstacle(context, mail);
  if (obstacle) return obstacle;
  // Later changes don't matter: the courier checks the code again when it sends the mail.
  const now = clock.now();
  const isQueued = await store.write((trx) => requeue(trx, now, mail));
  return isQueued ? "queued" : "waiting";
}

/** Ids of failed mails that have not expired, oldest first: at most `limit`, starting after the id `after`. */
export async function failedMails(
  { store, clock }: RetryContext,
  { after, limit }: { after: string; limit: number },
): Promise<string[]> {
  const rows = await store.db
    .selectFrom("outbox")
    .select("mail_id")
    .where("state", "=", "failed")
    .where("mail_id", ">", after)
    .where("expire_time", ">", clock.now())
    .orderBy("mail_id")
    .limit(limit)
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
