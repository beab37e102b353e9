import type { OTPEmailRow, UserRow } from "../../db/core/schema.ts";
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

/** The code of the mail that a link stands in, or undefined if it can no longer be entered. Changes nothing. */
export async function codeOfLink(context: OTPContext, handle: MailHandle): Promise<string | undefined> {
  if (handle.purpose === "login") return codeOfChallenge(context, handle.challengeId);
  const row = await findRecipient(context, handle.otpEmailId);
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
  const row = await findRecipient(context, challenge.otp_email_id);
  return row && canEnter(context, row) ? loginCode(context, row.org_id, row, challengeId, alive) : undefined;
}

export interface VerifyByLink {
  /** What the reader of the mail has entered. */
  readonly typed: string;
  readonly clientAddress: string | undefined;
}

/**
 * Verifies the address of a link with the code that its reader enters: under the rules and limits of every attempt, and
 * whichever code of the authenticator was in this mail. Without a live code nothing is verified, so that a link alone is
 * worth nothing once its code is dead.
 *
 * A code that was accepted is accepted again, and changes nothing: people press a button twice.
 *
 * @returns whether it is verified. Why not is told to nobody: that would say whether there is such a user.
 */
export async function verifyByLink(
  context: OTPContext,
  handle: MailHandle,
  { typed, clientAddress }: VerifyByLink,
): Promise<boolean> {
  // A login is completed where it was begun, never by a link.
  if (handle.purpose !== "enrolment") return false;
  const { otpEmailId, codeSalt } = handle;
  const row = await findRecipient(context, otpEmailId);
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
  const row = await findRecipient(context, otpEmailId);
  if (row?.verify_time == null) return false;
  const salt = Buffer.from(codeSalt, "base64url");
  return context.keys.all.some(({ secret }) =>
    codesEqual(enrolmentCode(context, row.org_id, row, { secret, salt }), code),
  );
}

/** A refusal counts as false. Anything else, such as a database that can't be reached, is still an error. */
async function unlessRefused(work: () => Promise<boolean>): Promise<boolean> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

type Recipient = OTPEmailRow & Pick<UserRow, "org_id" | "state">;

async function findRecipient({ store }: OTPContext, otpEmailId: string): Promise<Recipient | undefined> {
  return store.db
    .selectFrom("otp_emails")
    .innerJoin("users", "users.user_id", "otp_emails.user_id")
    .selectAll("otp_emails")
    .select(["users.org_id", "users.state"])
    .where("otp_email_id", "=", otpEmailId)
    .executeTakeFirst();
}

function canEnter({ clock }: OTPContext, { state, locked_until }: Recipient): boolean {
  return state === "active" && (locked_until === null || locked_until <= clock.now());
}
