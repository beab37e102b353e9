import type { Kysely, Transaction } from "kysely";
import { type Param, prepare } from "../../db/core/prepared.ts";
import type { DB, OTPEmailRow, OutboxRow, SuppressionSource } from "../../db/core/schema.ts";
import { dayMs } from "../../lib/time.ts";
import { digestsOf } from "../codes/keyed-digest.ts";
import type { KeyRing } from "../codes/keys.ts";
import type { OTPContext } from "../context.ts";

/** Duration of the first suppression of an address, the second, and all later ones. */
const suppressionDays = [1, 7, 30];

/** How long a suppression is remembered after its end, so that the next one is longer. */
const rememberedMs = 90 * dayMs;

/** Reason of a mail that is dropped because of a suppression. */
export const addressSuppressed = "address suppressed";

export interface Suppression {
  /** An enhanced status code (RFC 3463), or `complaint`. */
  readonly status: string;
  readonly source: SuppressionSource;
}

/**
 * Suppresses the address of a mail's recipient for all users and organizations. Does nothing if it is suppressed already: a
 * mail that bounces in the meantime was sent before.
 */
export async function suppressRecipient(
  trx: Transaction<DB>,
  { keys, clock }: Pick<OTPContext, "keys" | "clock">,
  { otp_email_id }: Pick<OutboxRow, "otp_email_id">,
  { status, source }: Suppression,
): Promise<void> {
  const now = clock.now();
  const { address_canonical } = await trx
    .selectFrom("otp_emails")
    .select("address_canonical")
    .where("otp_email_id", "=", otp_email_id)
    .executeTakeFirstOrThrow();
  const digests = suppressionDigests(keys, address_canonical);
  const before = await trx
    .selectFrom("suppressions")
    .select(["count", "suppressed_until", "expire_time"])
    .where("digest", "in", digests)
    .executeTakeFirst();
  if (before && before.suppressed_until > now) return;
  const count = before && before.expire_time > now ? before.count + 1 : 1;
  const days = suppressionDays[count - 1] ?? suppressionDays.at(-1) ?? 0;
  const suppressed_until = now + days * dayMs;
  // Insert again instead of updating, to use the current key.
  await trx.deleteFrom("suppressions").where("digest", "in", digests).execute();
  await trx
    .insertInto("suppressions")
    .values({
      digest: digests[0],
      otp_email_id,
      status,
      source,
      count,
      create_time: now,
      suppressed_until,
      expire_time: suppressed_until + rememberedMs,
    })
    .execute();
}

/** Reports whether an address is suppressed. Checked for each mail right before it is sent. */
export async function isSuppressed(
  { store, keys, clock }: Pick<OTPContext, "store" | "keys" | "clock">,
  { address_canonical }: Pick<OTPEmailRow, "address_canonical">,
): Promise<boolean> {
  const now = clock.now();
  for (const digest of suppressionDigests(keys, address_canonical)) {
    const [row] = await selectSuppressed(store.db, { digest, now });
    if (row) return true;
  }
  return false;
}

const selectSuppressed = prepare((db, param: Param<{ digest: string; now: number }>) =>
  db
    .selectFrom("suppressions")
    .select("digest")
    .where("digest", "=", param("digest"))
    .where("suppressed_until", ">", param("now")),
);

/**
 * Deletes a suppression, also as the predecessor of a longer one: the operator knows that the address works again.
 *
 * @returns whether there was one.
 */
export async function releaseAddress(
  trx: Transaction<DB>,
  keys: KeyRing,
  canonicalAddress: string,
): Promise<boolean> {
  const released = await trx
    .deleteFrom("suppressions")
    .where("digest", "in", suppressionDigests(keys, canonicalAddress))
    .returning("digest")
    .executeTakeFirst();
  return released !== undefined;
}

/** A suppressed address and its current authenticators. */
export interface SuppressedAddress extends Suppression {
  readonly count: number;
  readonly createTime: number;
  readonly until: number;
  /** Ordered by id. Empty if the authenticator whose mail bounced was removed. */
  readonly otpEmails: readonly {
    readonly otpEmailId: string;
    readonly userId: string;
    readonly orgId: string;
    readonly address: string;
  }[];
}

/** Lists current suppressions, latest first, with their authenticators, since addresses are only stored as digests. */
export async function listSuppressions(
  db: Kysely<DB>,
  now: number,
  { limit, skip }: { limit: number; skip: number },
): Promise<SuppressedAddress[]> {
  const rows = await db
    .selectFrom("suppressions")
    .leftJoin("otp_emails", "otp_emails.otp_email_id", "suppressions.otp_email_id")
    .select([
      "status",
      "source",
      "count",
      "suppressions.create_time",
      "suppressed_until",
      "address_canonical",
    ])
    .where("suppressed_until", ">", now)
    .orderBy("suppressions.create_time", "desc")
    .orderBy("digest")
    .limit(limit)
    .offset(skip)
    .execute();
  const addresses = rows.map((row) => row.address_canonical).filter((address) => address !== null);
  const otpEmails = addresses.length === 0 ? [] : await otpEmailsAt(db, addresses);
  return rows.map((row) => ({
    status: row.status,
    source: row.source,
    count: row.count,
    createTime: row.create_time,
    until: row.suppressed_until,
    otpEmails: otpEmails
      .filter((otpEmail) => otpEmail.address_canonical === row.address_canonical)
      .map(({ otp_email_id, user_id, org_id, address }) => ({
        otpEmailId: otp_email_id,
        userId: user_id,
        orgId: org_id,
        address,
      })),
  }));
}

function otpEmailsAt(db: Kysely<DB>, canonicalAddresses: readonly string[]) {
  return db
    .selectFrom("otp_emails")
    .innerJoin("users", "users.user_id", "otp_emails.user_id")
    .select(["otp_email_id", "otp_emails.user_id", "org_id", "address", "address_canonical"])
    .where("address_canonical", "in", canonicalAddresses)
    .orderBy("otp_email_id")
    .execute();
}

function suppressionDigests(keys: KeyRing, canonicalAddress: string): [string, ...string[]] {
  return digestsOf(keys, "suppression/address", canonicalAddress);
}

/**
 * Reports whether a permanent status is about the address itself (RFC 3463 §3). Others, such as those about the sender, the
 * content or a policy, may be resolved while the address is valid.
 *
 * @param status enhanced status code, such as 5.1.1
 */
export function isAboutAddress(status: string): boolean {
  const [, permanent, subject, detail] = /^(5)\.(\d{1,3})\.(\d{1,3})$/.exec(status) ?? [];
  if (permanent === undefined) return false;
  // X.1.7 and X.1.8 are about the sender's address, X.1.9 about its domain. X.2.3: message too long.
  if (subject === "1") return !["7", "8", "9"].includes(detail ?? "");
  if (subject === "2") return detail !== "3";
  // X.0.z: undefined. X.4.z: the domain is unreachable. 3, 5, 6, 7: system, protocol, content, policy.
  return subject === "0" || subject === "4";
}

/**
 * Returns the status of a rejection by the own relay if it is about the recipient: X.1.z, or a disabled mailbox. A mail has
 * one recipient, so the status also applies to it at DATA or after the message (RFC 3463 §2: it is about the message, not the
 * command). At MAIL the recipient isn't known yet, and a bare 550 may be a policy (RFC 5321 §4.2.3).
 *
 * @param reason as recorded by the courier, such as "550 5.1.1 rcpt"
 */
export function refusedAddressStatus(reason: string | null): string | undefined {
  const status = /\b(5\.(?:1\.\d{1,3}|2\.1)) (?:rcpt|data)\b/.exec(reason ?? "")?.[1];
  return status !== undefined && isAboutAddress(status) ? status : undefined;
}
