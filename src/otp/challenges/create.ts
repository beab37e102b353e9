import { sql, type Transaction } from "kysely";
import { makeId, random128 } from "../../db/core/id.ts";
import { once, type Repeatable } from "../../db/core/idempotency.ts";
import { type Param, prepare } from "../../db/core/prepared.ts";
import {
  type ChallengeRow,
  type DB,
  type LastMailColumns,
  type OTPEmailRow,
  openChallengeStates,
} from "../../db/core/schema.ts";
import { type Cause, type Details, type EventSlot, reserveEvent, writeEvent } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import { dayMs } from "../../lib/time.ts";
import { userNotFound } from "../../lib/user-refusals.ts";
import { requireActive } from "../../users/user.ts";
import type { CodeDelivery } from "../code-delivery.ts";
import type { OTPContext } from "../context.ts";
import type { LiveCode } from "../enrolment/live-code.ts";
import { enqueueIfMailed } from "../enrolment/pending-code.ts";
import { findOTPEmail } from "../enrolment/read.ts";
import { refuseLocked } from "../limits/lock.ts";
import { otpEmailNotFound } from "../refusals.ts";
import { findChallenge, liveLoginCode, loginCode } from "./live-challenge.ts";

export interface CreateChallenge extends Cause, Repeatable {
  readonly userId: string;
  readonly orgId: string;
  readonly otpEmailId: string;
  readonly delivery: CodeDelivery;
  /** Whom the proof will be for. */
  readonly audience: string;
  readonly nonce: string | undefined;
}

export interface CreatedChallenge {
  readonly challengeId: string;
  /** When the code dies, in milliseconds since the epoch. */
  readonly expireTime: number;
  readonly details: Details;
  /** Only for `return_code`. Undefined too if its code is no longer alive: the call was made before. */
  readonly code: string | undefined;
}

/** For how long the reader of the mail can say that it was somebody else. */
const reportableMs = dayMs;

/**
 * Challenges a verified authenticator. The challenge before it ends: of any number of simultaneous calls one is left with
 * the live challenge.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (user not active, address not verified, another request with its key),
 *   RESOURCE_EXHAUSTED (too many wrong codes, too many mails).
 */
export async function createChallenge(
  context: OTPContext,
  input: CreateChallenge,
): Promise<CreatedChallenge> {
  const { reply, made } = await context.store.writeFor(input.caller, (trx) =>
    once(trx, context.clock, input.idempotencyKey, async () => {
      const slot = requireActive(await reserveEvent(trx, context.clock, input.userId));
      // The user was deleted since the call was let through, and its id was taken elsewhere.
      if (slot.orgId !== input.orgId) throw userNotFound();
      const row = await requireVerified(trx, context, input);
      const { code, ...reply } = await startChallenge(trx, context, row, input, slot);
      return { reply, made: { row: { ...row, org_id: slot.orgId }, code } };
    }),
  );
  if (input.delivery.kind === "send_code") {
    context.mailQueued();
    return { ...reply, code: undefined };
  }
  const code = made
    ? loginCode(context, made.row, reply.challengeId, made.code)
    : await repeatedCode(context, input, reply.challengeId);
  return { ...reply, code };
}

async function requireVerified(
  trx: Transaction<DB>,
  context: OTPContext,
  input: CreateChallenge,
): Promise<OTPEmailRow> {
  const { userId, otpEmailId } = input;
  const row = await findOTPEmail(trx, userId, otpEmailId);
  if (!row) throw otpEmailNotFound();
  if (row.verify_time === null) {
    throw new Refusal(
      "OTP_EMAIL_NOT_VERIFIED",
      "the address is not verified: verify it with the code of its first mail before you challenge it",
    );
  }
  await refuseLocked(trx, context, row, { ...input, canonicalAddress: row.address_canonical });
  return row;
}

async function startChallenge(
  trx: Transaction<DB>,
  context: OTPContext,
  row: OTPEmailRow,
  input: CreateChallenge,
  slot: EventSlot,
): Promise<Omit<CreatedChallenge, "code"> & { code: LiveCode }> {
  const now = context.clock.now();
  const challengeId = makeId(now);
  const { secret } = context.keys.current;
  const code = { secret, salt: random128(), expireTime: now + context.policy.login.codeTtlMs };
  await replaceOpen(trx, { otpEmailId: row.otp_email_id });
  await insertChallenge(trx, {
    challenge_id: challengeId,
    otp_email_id: row.otp_email_id,
    audience: input.audience,
    nonce: input.nonce ?? null,
    code_key_id: context.keys.current.id,
    code_salt: code.salt,
    code_expire_time: code.expireTime,
    create_time: now,
    expire_time: now + reportableMs,
  });
  const data = {
    otp_email_id: row.otp_email_id,
    challenge_id: challengeId,
    delivery: input.delivery.kind,
    audience: input.audience,
  };
  const details = await writeEvent(trx, slot, { ...input, type: "challenge.created", data });
  await enqueueIfMailed(trx, context, row, { ...input, purpose: "login", code });
  return { challengeId, expireTime: code.expireTime, details, code };
}

const replaceOpen = prepare((db, param: Param<{ otpEmailId: string }>) =>
  db
    .updateTable("challenges")
    .set({ state: "replaced" })
    .where("otp_email_id", "=", param("otpEmailId"))
    .where(
      "state",
      "in",
      openChallengeStates.map((state) => sql.lit(state)),
    ),
);

type NewChallenge = Omit<ChallengeRow, "state" | "attempts" | "report_time" | keyof LastMailColumns>;

const insertChallenge = prepare((db, param: Param<NewChallenge>) =>
  db.insertInto("challenges").values({
    challenge_id: param("challenge_id"),
    otp_email_id: param("otp_email_id"),
    state: "pending",
    audience: param("audience"),
    nonce: param("nonce"),
    code_key_id: param("code_key_id"),
    code_salt: param("code_salt"),
    attempts: 0,
    code_expire_time: param("code_expire_time"),
    create_time: param("create_time"),
    expire_time: param("expire_time"),
  }),
);

/** Of a call that is sent again: the code is derived from what is stored, while it lives. */
async function repeatedCode(
  context: OTPContext,
  { userId, orgId, otpEmailId }: CreateChallenge,
  challengeId: string,
): Promise<string | undefined> {
  const { db } = context.store;
  const row = await findOTPEmail(db, userId, otpEmailId);
  const challenge = row && (await findChallenge(db, otpEmailId, challengeId));
  const code = challenge && liveLoginCode(context, challenge);
  return code && loginCode(context, { ...row, org_id: orgId }, challengeId, code);
}
