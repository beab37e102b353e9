import { sql, type Transaction } from "kysely";
import { makeId } from "../../db/core/id.ts";
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
import { type CodeDelivery, enqueueIfMailed } from "../code-delivery.ts";
import { freshCode, type LiveCode } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { findOTPEmail } from "../enrolment/read.ts";
import { refuseLocked } from "../limits/lock.ts";
import { otpEmailNotFound } from "../refusals.ts";
import { findChallenge, liveLoginCode, loginCode } from "./live-challenge.ts";

export interface CreateChallenge extends Cause, Repeatable {
  readonly userId: string;
  readonly orgId: string;
  readonly otpEmailId: string;
  readonly delivery: CodeDelivery;
  /** Who the proof is for. */
  readonly audience: string;
  readonly nonce: string | undefined;
}

export interface CreatedChallenge {
  readonly challengeId: string;
  /** When the code expires, in milliseconds since the epoch. */
  readonly expireTime: number;
  readonly details: Details;
  /** Only for `return_code`, and undefined too if the call is repeated and its code is no longer alive. */
  readonly code: string | undefined;
}

/** How long a challenge can be reported. */
const reportableMs = dayMs;

/**
 * Starts a challenge of a verified authenticator, which replaces its open challenge. Of any number of simultaneous calls, one
 * gets the live challenge.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (user not active, address not verified, idempotency key reused),
 *   RESOURCE_EXHAUSTED (authenticator locked, too many mails).
 */
export async function createChallenge(
  context: OTPContext,
  input: CreateChallenge,
): Promise<CreatedChallenge> {
  const { reply, made } = await context.store.writeFor(input.caller, (trx) =>
    once(trx, context.clock, input.idempotencyKey, async () => {
      const slot = requireActive(await reserveEvent(trx, context.clock, input.userId));
      // The user may have been deleted since authorization, and its id taken in another organization.
      if (slot.orgId !== input.orgId) throw userNotFound();
      const row = await requireVerified(trx, input);
      const { code, ...reply } = await startChallenge(trx, context, row, input, slot);
      return { reply, made: { row, code } };
    }),
  );
  if (input.delivery.kind === "send_code") {
    context.mailQueued();
    return { ...reply, code: undefined };
  }
  const code = made
    ? loginCode(context, input.orgId, made.row, reply.challengeId, made.code)
    : await repeatedCode(context, input, reply.challengeId);
  return { ...reply, code };
}

async function requireVerified(
  trx: Transaction<DB>,
  { userId, otpEmailId }: CreateChallenge,
): Promise<OTPEmailRow> {
  const row = await findOTPEmail(trx, userId, otpEmailId);
  if (!row) throw otpEmailNotFound();
  if (row.verify_time === null) {
    throw new Refusal(
      "OTP_EMAIL_NOT_VERIFIED",
      "the address is not verified: verify it before you challenge it",
    );
  }
  return row;
}

async function startChallenge(
  trx: Transaction<DB>,
  context: OTPContext,
  row: OTPEmailRow,
  input: CreateChallenge,
  slot: EventSlot,
): Promise<Omit<CreatedChallenge, "code"> & { code: LiveCode }> {
  const { orgId, userId, audience, nonce, delivery, clientAddress } = input;
  const verifyTime = row.verify_time;
  const mail = { orgId, userId, canonicalAddress: row.address_canonical, clientAddress, verifyTime };
  await refuseLocked(trx, context, row, delivery.kind === "send_code" ? mail : undefined);
  const now = context.clock.now();
  const challengeId = makeId(now);
  const code = freshCode(context.keys, context.policy.login, now);
  await replaceOpen(trx, { otpEmailId: row.otp_email_id });
  await insertChallenge(trx, {
    challenge_id: challengeId,
    otp_email_id: row.otp_email_id,
    audience,
    nonce: nonce ?? null,
    code_key_id: context.keys.current.id,
    code_salt: code.salt,
    code_expire_time: code.expireTime,
    create_time: now,
    expire_time: now + reportableMs,
  });
  const data = {
    otp_email_id: row.otp_email_id,
    challenge_id: challengeId,
    delivery: delivery.kind,
    audience,
  };
  const details = await writeEvent(trx, slot, { ...input, type: "challenge.created", data });
  await enqueueIfMailed(trx, context, row, { purpose: "login", orgId, code, delivery, clientAddress });
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

/** Derives the code of a reply that is repeated for its idempotency key, while the code is alive. */
async function repeatedCode(
  context: OTPContext,
  { userId, orgId, otpEmailId }: CreateChallenge,
  challengeId: string,
): Promise<string | undefined> {
  const { db } = context.store;
  const row = await findOTPEmail(db, userId, otpEmailId);
  const challenge = row && (await findChallenge(db, otpEmailId, challengeId));
  const code = challenge && liveLoginCode(context, challenge);
  return code && loginCode(context, orgId, row, challengeId, code);
}
