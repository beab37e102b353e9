import { mailReader } from "../../events/event.ts";
import { Refusal } from "../../lib/refusal.ts";
import { findUser } from "../../users/user.ts";
import { liveLoginCode, loginCode } from "../challenges/live-challenge.ts";
import { codesEqual, parseCode } from "../codes/code.ts";
import { saltOf } from "../codes/live-code.ts";
import type { MailHandle } from "../codes/mail-handle.ts";
import type { OTPContext } from "../context.ts";
import { enrolmentCode, liveCode } from "../enrolment/live-code.ts";
import { verifyOTPEmail } from "../enrolment/verify.ts";
import { findRecipient, type Recipient } from "./recipient.ts";

/** Returns the code of the mail that a link is from, or undefined if it can no longer be entered. Changes nothing. */
export async function codeOfLink(context: OTPContext, handle: MailHandle): Promise<string | undefined> {
  if (handle.purpose === "login") return codeOfChallenge(context, handle.challengeId);
  const row = await findRecipient(context.store.db, handle.otpEmailId);
  if (!row || !canEnter(context, row)) return undefined;
  const alive = liveCode(context, row);
  return alive && saltOf(alive) === handle.codeSalt
    ? enrolmentCode(context, row.org_id, row, alive)
    : undefined;
}

async function codeOfChallenge(context: OTPContext, challengeId: string): Promise<string | undefined> {
  const challenge = await context.store.db
    .selectFrom("challenges")
    .selectAll()
    .where("challenge_id", "=", challengeId)
    .executeTakeFirst();
  const alive = challenge && liveLoginCode(context, challenge);
  if (!alive) return undefined;
  const row = await findRecipient(context.store.db, challenge.otp_email_id);
  return row && canEnter(context, row) ? loginCode(context, row.org_id, row, challengeId, alive) : undefined;
}

export interface VerifyByLink {
  /** Code as entered by the recipient. */
  readonly typed: string;
  readonly clientAddress: string | undefined;
}

/**
 * Verifies an address on the page of a link, with the code that the recipient enters. All rules and limits of attempts apply,
 * and any live code of the authenticator is accepted, not only that of this mail.
 *
 * Entering an accepted code again succeeds without any change, because people press buttons twice.
 *
 * @returns whether the address is verified. The reason is not reported, since it would reveal whether the user exists.
 */
export async function verifyByLink(
  context: OTPContext,
  handle: MailHandle,
  { typed, clientAddress }: VerifyByLink,
): Promise<boolean> {
  // A login is completed where it started, never through a link.
  if (handle.purpose !== "enrolment") return false;
  const { otpEmailId, codeSalt } = handle;
  const row = await findRecipient(context.store.db, otpEmailId);
  const user = row && (await findUser(context.store.db, row.user_id));
  if (!user) return false;
  return unlessRefused(async () => {
    const code = parseCode(typed, context.policy.enrolment.format);
    const input = { actor: mailReader, clientAddress, otpEmailId, code };
    const isVerified = await unlessRefused(async () => {
      await verifyOTPEmail(context, user, input);
      return true;
    });
    return isVerified || wasVerifiedWith(context, otpEmailId, { code, codeSalt });
  });
}

async function wasVerifiedWith(
  context: OTPContext,
  otpEmailId: string,
  { code, codeSalt }: { code: string; codeSalt: string },
): Promise<boolean> {
  const row = await findRecipient(context.store.db, otpEmailId);
  if (row?.verify_time == null) return false;
  const salt = Buffer.from(codeSalt, "base64url");
  return context.keys.all.some(({ secret }) =>
    codesEqual(enrolmentCode(context, row.org_id, row, { secret, salt }), code),
  );
}

/** Converts refusals to false. Other errors, such as an unavailable database, are rethrown. */
async function unlessRefused(work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

function canEnter({ clock }: OTPContext, { state, locked_until }: Recipient): boolean {
  return state === "active" && (locked_until === null || locked_until <= clock.now());
}
