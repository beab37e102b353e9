import { isIPv6 } from "node:net";
import type { Kysely, Transaction } from "kysely";
import type { DB } from "../../db/core/schema.ts";
import { Refusal } from "../../lib/refusal.ts";
import { dayMs, hourMs } from "../../lib/time.ts";
import { cachedDigestsOf, digestsOf } from "../codes/keyed-digest.ts";
import type { OTPContext } from "../context.ts";
import type { OTPEmailIdentity } from "./removed-failures.ts";
import { consume, longestWait, type RateLimit } from "./sliding-window.ts";

export interface MailRequest extends OTPEmailIdentity {
  /** Undefined if it is not known: then it limits nothing. */
  readonly clientAddress?: string | undefined;
}

/**
 * Counts a mail that is about to be queued, in the transaction that queues it: a call that fails takes none. The
 * authenticator counts by its user and address, so that to remove it and to add it again brings no new mails.
 *
 * @throws RESOURCE_EXHAUSTED: RESEND_TOO_SOON, SEND_LIMIT_REACHED.
 */
export async function consumeMail(
  trx: Transaction<DB>,
  context: OTPContext,
  request: MailRequest,
): Promise<void> {
  const [otpEmail, ...shared] = logsOf(context, request);
  const wait = await consume(trx, context.clock.now(), [otpEmail, ...shared]);
  if (!wait) return;
  if (wait.limit === otpEmail.limits[0]) {
    throw new Refusal(
      "RESEND_TOO_SOON",
      "a mail was sent a moment ago: look for it, or wait and ask for another",
      { retryAfterMs: wait.ms },
    );
  }
  throw new Refusal(
    "SEND_LIMIT_REACHED",
    "as many mails were sent as are allowed for a while: wait and ask again",
    { retryAfterMs: wait.ms },
  );
}

/** How long until `takeMail` would count another one, in milliseconds. */
export async function mailWaitMs(db: Kysely<DB>, context: OTPContext, request: MailRequest): Promise<number> {
  const wait = await longestWait(db, context.clock.now(), logsOf(context, request));
  return wait?.ms ?? 0;
}

function logsOf(
  { keys, policy: { mails } }: OTPContext,
  { orgId, userId, canonicalAddress, clientAddress }: MailRequest,
): [RateLimit, ...RateLimit[]] {
  const logs: [RateLimit, ...RateLimit[]] = [
    {
      digests: digestsOf(keys, "mails/otp_email", orgId, userId, canonicalAddress),
      limits: [
        { limit: 1, windowMs: mails.intervalMs },
        { limit: mails.perHourMax, windowMs: hourMs },
        { limit: mails.perDayMax, windowMs: dayMs },
      ],
      slotMs: 1,
    },
    {
      digests: digestsOf(keys, "mails/address", canonicalAddress),
      limits: [{ limit: mails.perAddressHourMax, windowMs: hourMs }],
      slotMs: 1,
    },
    {
      digests: cachedDigestsOf(keys, "mails/all"),
      limits: [{ limit: mails.allHourMax, windowMs: hourMs }],
      slotMs: ceilingSlotMs,
    },
  ];
  if (clientAddress !== undefined) {
    logs.push({
      digests: cachedDigestsOf(keys, "mails/client", networkOf(clientAddress)),
      limits: [{ limit: mails.perClientHourMax, windowMs: hourMs }],
      slotMs: ceilingSlotMs,
    });
  }
  // What limits nothing is not counted: on PostgreSQL all calls would wait for each other at its lock.
  const [otpEmail, ...shared] = logs;
  return [otpEmail, ...shared.filter(({ limits }) => limits.some(({ limit }) => limit < Infinity))];
}

/** Ceilings are high: by the minute, at most 61 rows are read for one. */
const ceilingSlotMs = 60_000;

/** One customer commonly has a whole /64 (RFC 6177), and can call from any of its addresses. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  // The URL parser writes an address in one way: lower case, no zone, no dotted quad, `::` for the zeros.
  const url = `http://[${address.replace(/%.*$/, "")}]`;
  const [head = "", tail] = new URL(url).hostname.slice(1, -1).split("::");
  const groups = head === "" ? [] : head.split(":");
  if (tail !== undefined) {
    const last = tail === "" ? [] : tail.split(":");
    while (groups.length + last.length < 8) groups.push("0");
    groups.push(...last);
  }
  return `${groups.slice(0, 4).join(":")}::/64`;
}
