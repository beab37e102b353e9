import type { Kysely, Transaction } from "kysely";
import type { DB } from "../../db/core/schema.ts";
import { Refusal } from "../../lib/refusal.ts";
import { dayMs, hourMs } from "../../lib/time.ts";
import { cachedDigestsOf, digestsOf } from "../codes/keyed-digest.ts";
import type { OTPContext } from "../context.ts";
import { networkOf } from "./client-network.ts";
import type { OTPEmailIdentity } from "./removed-failures.ts";
import { consume, longestWait, type RateLimit } from "./sliding-window.ts";

export interface MailRequest extends OTPEmailIdentity {
  /** Undefined: unknown, and not limited. */
  readonly clientAddress?: string | undefined;
  /**
   * When the address was verified, for a mail of a login. The mails of the enrolment don't delay it: their code is used up. Only
   * the limit of a day counts both.
   */
  readonly verifyTime?: number | null | undefined;
}

/**
 * Counts a mail against all mail limits, in the transaction that queues it, so that a failed call counts nothing.
 *
 * An authenticator is identified by its user and address: removing it and adding it again doesn't reset its limits.
 *
 * @throws RESOURCE_EXHAUSTED (RESEND_TOO_SOON, SEND_LIMIT_REACHED).
 */
export async function consumeMail(
  trx: Transaction<DB>,
  context: OTPContext,
  request: MailRequest,
): Promise<void> {
  const [otpEmail, ...others] = rateLimitsOf(context, request);
  const wait = await consume(trx, context.clock.now(), [otpEmail, ...others]);
  if (!wait) return;
  const retryAfterMs = wait.ms;
  if (wait.window === otpEmail.windows[0]) {
    throw new Refusal(
      "RESEND_TOO_SOON",
      "a mail was just sent: check the mailbox, or wait before requesting another",
      { retryAfterMs },
    );
  }
  throw new Refusal("SEND_LIMIT_REACHED", "the limit on mails is reached: wait and try again", {
    retryAfterMs,
  });
}

/** Returns the milliseconds until `consumeMail` accepts another mail, 0 if it does now. */
export async function mailWaitMs(db: Kysely<DB>, context: OTPContext, request: MailRequest): Promise<number> {
  const wait = await longestWait(db, context.clock.now(), rateLimitsOf(context, request));
  return wait?.ms ?? 0;
}

/** The first limit is that of the authenticator, and its first window the interval between two mails. */
function rateLimitsOf(
  { keys, policy: { mails } }: OTPContext,
  { orgId, userId, canonicalAddress, clientAddress, verifyTime }: MailRequest,
): [RateLimit, ...RateLimit[]] {
  const since = verifyTime ?? undefined;
  const rateLimits: [RateLimit, ...RateLimit[]] = [
    {
      digests: digestsOf(keys, "mails/otp_email", orgId, userId, canonicalAddress),
      windows: [
        { limit: 1, windowMs: mails.intervalMs, since },
        { limit: mails.perHourMax, windowMs: hourMs, since },
        { limit: mails.perDayMax, windowMs: dayMs },
      ],
      slotMs: 1,
    },
    {
      digests: digestsOf(keys, "mails/address", canonicalAddress),
      windows: [{ limit: mails.perAddressHourMax, windowMs: hourMs }],
      slotMs: 1,
    },
    {
      digests: cachedDigestsOf(keys, "mails/all"),
      windows: [{ limit: mails.allHourMax, windowMs: hourMs }],
      slotMs: highLimitSlotMs,
    },
  ];
  if (clientAddress !== undefined) {
    rateLimits.push({
      digests: cachedDigestsOf(keys, "mails/client", networkOf(clientAddress)),
      windows: [{ limit: mails.perClientHourMax, windowMs: hourMs }],
      slotMs: highLimitSlotMs,
    });
  }
  // Drop limits that are off: on PostgreSQL, all calls would queue for the lock of a shared one.
  const [otpEmail, ...others] = rateLimits;
  return [otpEmail, ...others.filter(({ windows }) => windows.some(({ limit }) => limit < Infinity))];
}

/** High limits count by the minute, which bounds them to 61 rows each. */
const highLimitSlotMs = 60_000;
