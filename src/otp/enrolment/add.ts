import type { Transaction } from "kysely";
import { makeId } from "../../db/core/id.ts";
import { once, type Repeatable } from "../../db/core/idempotency.ts";
import type { DB, OTPEmailRow } from "../../db/core/schema.ts";
import {
  appendEvent,
  type Cause,
  type Details,
  type EventSlot,
  reserveEvent,
  writeEvent,
} from "../../events/event.ts";
import type { EmailAddress } from "../../lib/email-address.ts";
import { Refusal } from "../../lib/refusal.ts";
import { userNotFound } from "../../lib/user-refusals.ts";
import { requireActive } from "../../users/user.ts";
import { type CodeDelivery, enqueueIfMailed } from "../code-delivery.ts";
import { freshCode, type LiveCode, saltOf } from "../codes/live-code.ts";
import type { OTPContext } from "../context.ts";
import { clearedFailures } from "../limits/failures.ts";
import { refuseLocked } from "../limits/lock.ts";
import { forgetFailures, recallFailures } from "../limits/removed-failures.ts";
import { tooManyOTPEmails } from "../refusals.ts";
import { insertWithinLimit } from "./insert.ts";
import { enrolmentCode, repeatedCode } from "./live-code.ts";
import { enqueueNotices } from "./notices.ts";
import { clearedCode, codeColumns, renewCode } from "./pending-code.ts";

/** How an added address is verified. */
export type Verification = CodeDelivery | { readonly kind: "is_verified" };

export interface AddOTPEmail extends Cause, Repeatable {
  readonly userId: string;
  readonly orgId: string;
  readonly address: EmailAddress;
  readonly verification: Verification;
}

export interface AddedOTPEmail {
  readonly otpEmailId: string;
  readonly details: Details;
  /** Only for `return_code`, and undefined too if the call is repeated and its code is no longer alive. */
  readonly code: string | undefined;
}

/**
 * Adds an address to a user: one transaction writes the authenticator, the event and the mail.
 *
 * Adding a pending address again keeps its authenticator and its live code, so that a retry is harmless. If the code is no
 * longer alive, a fresh one is issued.
 *
 * @throws NOT_FOUND, FAILED_PRECONDITION (user not active or at the limit of authenticators, idempotency key reused),
 *   ALREADY_EXISTS (address already verified), RESOURCE_EXHAUSTED (authenticator locked, too many mails).
 */
export async function addOTPEmail(context: OTPContext, input: AddOTPEmail): Promise<AddedOTPEmail> {
  const { reply, made } = await context.store.writeFor(input.caller, (trx) =>
    once(trx, context.clock, input.idempotencyKey, async () => {
      const slot = requireActive(await reserveEvent(trx, context.clock, input.userId));
      // The user may have been deleted since authorization, and its id taken in another organization.
      if (slot.orgId !== input.orgId) throw userNotFound();
      const made =
        (await insertNew(trx, context, input, slot)) ?? (await renewPending(trx, context, input, slot));
      const { row, code, details } = made;
      return { reply: { otpEmailId: row.otp_email_id, details, codeSalt: code && saltOf(code) }, made };
    }),
  );
  const { otpEmailId, details, codeSalt } = reply;
  if (input.verification.kind === "send_code" || made?.isNoticed) context.mailQueued();
  if (input.verification.kind !== "return_code" || codeSalt === undefined)
    return { otpEmailId, details, code: undefined };
  const code = made?.code
    ? enrolmentCode(context, details.orgId, made.row, made.code)
    : await repeatedCode(context, details.orgId, { ...input, otpEmailId, codeSalt });
  return { otpEmailId, details, code };
}

interface Added {
  readonly row: Pick<OTPEmailRow, "otp_email_id" | "user_id" | "address" | "address_canonical">;
  /** Undefined if the address is verified. */
  readonly code: LiveCode | undefined;
  readonly details: Details;
  /** Whether notices to other addresses of the user were queued. */
  readonly isNoticed: boolean;
}

/** Returns undefined if the user has the address already or is at the limit of authenticators. */
async function insertNew(
  trx: Transaction<DB>,
  context: OTPContext,
  input: AddOTPEmail,
  slot: EventSlot,
): Promise<Added | undefined> {
  const now = context.clock.now();
  const { orgId, userId, address, verification, clientAddress } = input;
  const isVerified = verification.kind === "is_verified";
  const identity = { orgId, userId, canonicalAddress: address.canonical };
  const recalled = await recallFailures(trx, context, identity);
  const code = isVerified ? undefined : freshCode(context.keys, context.policy.enrolment, now);
  const codeOfRow = codeColumns(context, code);
  const failures = (!isVerified && recalled) || clearedFailures;
  const row = {
    otp_email_id: makeId(now),
    user_id: userId,
    address: address.given,
    address_canonical: address.canonical,
  };
  // A single literal: spreads of the parts are measurably slower (docs/performance.md).
  const [inserted] = await insertWithinLimit(trx, {
    otp_email_id: row.otp_email_id,
    user_id: row.user_id,
    address: row.address,
    address_canonical: row.address_canonical,
    verify_time: isVerified ? now : null,
    code_key_id: codeOfRow.code_key_id,
    code_salt: codeOfRow.code_salt,
    code_expire_time: codeOfRow.code_expire_time,
    attempts: 0,
    failures: failures.failures,
    failure_times: failures.failure_times,
    lock_count: failures.lock_count,
    locked_until: failures.locked_until,
    create_time: now,
    change_time: now,
    limit: context.policy.otpEmailsMax,
  });
  if (!inserted) return undefined;
  // Check the lock after the limit of authenticators: 400 before 429, because retrying can't help with the limit.
  if (!isVerified && recalled) {
    const mail = verification.kind === "send_code" ? { ...identity, clientAddress } : undefined;
    await refuseLocked(trx, context, recalled, mail);
  }
  if (recalled) await forgetFailures(trx, context, identity);

  const { actor, reason } = input;
  const cause = { actor, clientAddress, reason };
  const data = { otp_email_id: row.otp_email_id, verification: verification.kind };
  const notices = {
    orgId,
    userId,
    clientAddress,
    actor,
    kind: "added",
    otpEmailId: row.otp_email_id,
  } as const;
  const isNoticed = Number(inserted.others) > 0 && (await enqueueNotices(trx, context, notices));
  const added = { type: "otp_email.added", actor, clientAddress, reason, data } as const;
  let details = await writeEvent(trx, slot, added);
  if (verification.kind === "is_verified")
    details = await appendEvent(trx, context.clock, { ...cause, userId, type: "otp_email.verified", data });
  else if (code && verification.kind === "send_code") {
    const issued = {
      purpose: "enrolment",
      orgId,
      code,
      delivery: verification,
      clientAddress,
      isFirst: true,
    } as const;
    await enqueueIfMailed(trx, context, row, issued);
  }
  return { row, code, details, isNoticed };
}

/** Renews the code of an address that the user has already, or verifies it if the caller vouches for it. */
async function renewPending(
  trx: Transaction<DB>,
  context: OTPContext,
  input: AddOTPEmail,
  slot: EventSlot,
): Promise<Added> {
  const row = await trx
    .selectFrom("otp_emails")
    .selectAll()
    .where("user_id", "=", input.userId)
    .where("address_canonical", "=", input.address.canonical)
    .executeTakeFirst();
  if (!row) throw tooManyOTPEmails(context.policy.otpEmailsMax);
  if (row.verify_time !== null) {
    throw new Refusal(
      "OTP_EMAIL_ALREADY_EXISTS",
      "the user has this address already, and it is verified: there is nothing to add",
    );
  }
  if (input.verification.kind === "is_verified") {
    await setVerified(trx, context, row.otp_email_id);
    const change = { ...input, kind: "verified", otpEmailId: row.otp_email_id } as const;
    const isNoticed = await enqueueNotices(trx, context, change);
    const data = { otp_email_id: row.otp_email_id, verification: input.verification.kind };
    const details = await writeEvent(trx, slot, { ...input, type: "otp_email.verified", data });
    return { row, code: undefined, details, isNoticed };
  }
  const renewed = await renewCode(trx, context, row, { ...input, delivery: input.verification }, slot);
  return { row, ...renewed, isNoticed: false };
}

/** Marks an authenticator as verified and ends its code and its lock. */
async function setVerified(trx: Transaction<DB>, context: OTPContext, otpEmailId: string): Promise<void> {
  const now = context.clock.now();
  await trx
    .updateTable("otp_emails")
    .set({ verify_time: now, ...clearedCode, ...clearedFailures, change_time: now })
    .where("otp_email_id", "=", otpEmailId)
    .execute();
}
