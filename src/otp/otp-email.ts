import { randomBytes } from "node:crypto";
import type { Kysely, Transaction } from "kysely";
import { makeId } from "../db/id.ts";
import type { DB, OTPEmailRow } from "../db/schema.ts";
import { alreadyExists, resourceExhausted } from "../errors.ts";
import { enqueue } from "../mail/outbox.ts";
import type { EmailAddress } from "../user/email-address.ts";
import { appendEvent, type Details } from "../user/event.ts";
import { findUser, requireActive } from "../user/user.ts";
import { saltBytes } from "./code.ts";
import type { OTPContext } from "./context.ts";
import { enrolmentCode, type LiveCode, liveCode } from "./live-code.ts";

/** How an added address is verified. `urlTemplate` null: the link leads to the service's own page. */
export type Verification =
  | { readonly kind: "send_code"; readonly urlTemplate: string | null }
  | { readonly kind: "return_code" }
  | { readonly kind: "is_verified" };

export interface AddOTPEmail {
  readonly userId: string;
  readonly address: EmailAddress;
  readonly verification: Verification;
  readonly actor: string;
}

export interface AddedOTPEmail {
  readonly otpEmailId: string;
  readonly details: Details;
  /** Only for `return_code`. */
  readonly code: string | undefined;
}

/**
 * Adds an address to a user: one transaction writes the authenticator, the event and the mail.
 *
 * An address that waits to be verified keeps its authenticator and its live code, so that a retry is harmless. If the
 * code is no longer alive, there is a fresh one.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (user not active), ALREADY_EXISTS (address verified before),
 *   RESOURCE_EXHAUSTED (too many wrong codes).
 */
export async function addOTPEmail(context: OTPContext, input: AddOTPEmail): Promise<AddedOTPEmail> {
  const { row, code, details } = await context.store.write(async (trx) => {
    requireActive(await findUser(trx, input.userId));
    return (await insertNew(trx, context, input)) ?? (await renewPending(trx, context, input));
  });
  if (input.verification.kind === "send_code") context.mailQueued();
  const returned = input.verification.kind === "return_code" && code !== undefined;
  return {
    otpEmailId: row.otp_email_id,
    details,
    code: returned ? enrolmentCode(context, details.orgId, row, code) : undefined,
  };
}

/** The authenticators of a user, oldest first. */
export async function listOTPEmails(db: Kysely<DB>, userId: string): Promise<OTPEmailRow[]> {
  return db
    .selectFrom("otp_emails")
    .selectAll()
    .where("user_id", "=", userId)
    .orderBy("otp_email_id")
    .execute();
}

interface Added {
  row: Pick<OTPEmailRow, "otp_email_id" | "user_id" | "address">;
  /** Undefined once the address is verified. */
  code: LiveCode | undefined;
  details: Details;
}

/** Undefined if the user has the address already. */
async function insertNew(
  trx: Transaction<DB>,
  context: OTPContext,
  input: AddOTPEmail,
): Promise<Added | undefined> {
  const now = context.clock.now();
  const verified = input.verification.kind === "is_verified";
  const code = verified ? undefined : freshCode(context);
  const row = await trx
    .insertInto("otp_emails")
    .values({
      otp_email_id: makeId(now),
      user_id: input.userId,
      address: input.address.given,
      address_canonical: input.address.canonical,
      verify_time: verified ? now : null,
      ...codeColumns(context, code),
      attempts: 0,
      lock_count: 0,
      locked_until: null,
      create_time: now,
      change_time: now,
    })
    .onConflict((conflict) => conflict.columns(["user_id", "address_canonical"]).doNothing())
    .returning(["otp_email_id", "user_id", "address"])
    .executeTakeFirst();
  if (!row) return undefined;

  const data = { otp_email_id: row.otp_email_id, verification: input.verification.kind };
  let details = await appendEvent(trx, context.clock, { ...input, type: "otp_email.added", data });
  if (verified)
    details = await appendEvent(trx, context.clock, { ...input, type: "otp_email.verified", data });
  if (code) await enqueueIfMailed(trx, context, input, row.otp_email_id, code);
  return { row, code, details };
}

async function renewPending(trx: Transaction<DB>, context: OTPContext, input: AddOTPEmail): Promise<Added> {
  const now = context.clock.now();
  const row = await trx
    .selectFrom("otp_emails")
    .selectAll()
    .where("user_id", "=", input.userId)
    .where("address_canonical", "=", input.address.canonical)
    .executeTakeFirstOrThrow();
  if (row.verify_time !== null) {
    throw alreadyExists(
      "OTP_EMAIL_ALREADY_EXISTS",
      "the user has this address already, and it is verified: there is nothing to add",
    );
  }
  const data = { otp_email_id: row.otp_email_id, verification: input.verification.kind };

  if (input.verification.kind === "is_verified") {
    await setVerified(trx, context, row.otp_email_id);
    const details = await appendEvent(trx, context.clock, { ...input, type: "otp_email.verified", data });
    return { row, code: undefined, details };
  }
  if (row.locked_until !== null && row.locked_until > now) throw attemptsExhausted(row.locked_until - now);

  const alive = liveCode(context, row);
  const code = alive ?? freshCode(context);
  if (!alive) {
    await trx
      .updateTable("otp_emails")
      .set((eb) => ({
        ...codeColumns(context, code),
        // Not refilled by a new code, or each would be worth a few more guesses. Only a lock that was served does it.
        attempts: eb
          .case()
          .when("attempts", ">=", context.policy.enrolment.attemptsMax)
          .then(0)
          .else(eb.ref("attempts"))
          .end(),
        change_time: now,
      }))
      .where("otp_email_id", "=", row.otp_email_id)
      .execute();
  }
  const details = await appendEvent(trx, context.clock, {
    ...input,
    type: "otp_email.code_requested",
    data: { ...data, fresh: !alive },
  });
  await enqueueIfMailed(trx, context, input, row.otp_email_id, code);
  return { row, code, details };
}

/** Marks an authenticator as verified and ends its code and its lock. */
async function setVerified(trx: Transaction<DB>, context: OTPContext, otpEmailId: string): Promise<void> {
  const now = context.clock.now();
  await trx
    .updateTable("otp_emails")
    .set({ verify_time: now, ...codeColumns(context, undefined), ...noFailures, change_time: now })
    .where("otp_email_id", "=", otpEmailId)
    .execute();
}

/** What a right code sets back. */
export const noFailures = { attempts: 0, lock_count: 0, locked_until: null };

/** RESOURCE_EXHAUSTED until the lock of the authenticator ends. */
export function attemptsExhausted(lockedForMs: number) {
  return resourceExhausted(
    "ATTEMPTS_EXHAUSTED",
    "too many wrong codes: the authenticator is locked for a while. Wait, then ask for a new code",
    lockedForMs,
  );
}

function freshCode(context: OTPContext): LiveCode {
  return {
    secret: context.keys.current.secret,
    salt: randomBytes(saltBytes),
    expireTime: context.clock.now() + context.policy.enrolment.codeTtlMs,
  };
}

function codeColumns(context: OTPContext, code: LiveCode | undefined) {
  return {
    code_key_id: code ? context.keys.current.id : null,
    code_salt: code?.salt ?? null,
    code_expire_time: code?.expireTime ?? null,
  };
}

async function enqueueIfMailed(
  trx: Transaction<DB>,
  context: OTPContext,
  input: AddOTPEmail,
  otpEmailId: string,
  code: LiveCode,
): Promise<void> {
  if (input.verification.kind !== "send_code") return;
  await enqueue(trx, context.clock.now(), {
    purpose: "enrolment",
    userId: input.userId,
    otpEmailId,
    codeSalt: code.salt,
    urlTemplate: input.verification.urlTemplate,
    expireTime: code.expireTime,
    messageIdDomain: context.messageIdDomain,
  });
}
