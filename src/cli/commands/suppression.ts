import { parseEmailAddress } from "../../lib/email-address.ts";
import { maskAddress } from "../../lib/mask-address.ts";
import { listSuppressions, releaseAddress } from "../../otp/delivery/suppressions.ts";
import { findOTPEmailById } from "../../otp/enrolment/read.ts";
import type { Operator } from "../operator.ts";
import { formatTable, formatTime } from "../table.ts";

export interface ListOptions {
  readonly limit: number;
  readonly skip: number;
  /** Whether addresses are shown as a whole. */
  readonly addresses: boolean;
}

/**
 * What `countersign suppression list` prints: a line for each authenticator of each suppressed address. The address itself
 * is not kept; whom it concerns is what an operator can act on.
 */
export async function describeSuppressions(
  { store, clock }: Pick<Operator, "store" | "clock">,
  { limit, skip, addresses }: ListOptions,
): Promise<string> {
  const found = await listSuppressions(store.db, clock.now(), { limit: limit + 1, skip });
  if (found.length === 0) return "no address is suppressed";
  const table = formatTable(
    ["ADDRESS", "AUTHENTICATOR", "USER", "ORG", "STATUS", "SOURCE", "TIMES", "SINCE", "UNTIL"],
    found.slice(0, limit).flatMap((row) => {
      const common = [
        row.status,
        row.source,
        String(row.count),
        formatTime(row.createTime),
        formatTime(row.until),
      ];
      if (row.otpEmails.length === 0) return [["(removed)", "", "", "", ...common]];
      return row.otpEmails.map(({ address, otpEmailId, userId, orgId }) => [
        addresses ? address : maskAddress(address),
        otpEmailId,
        userId,
        orgId,
        ...common,
      ]);
    }),
  );
  return found.length > limit ? `${table}\nmore: --skip ${skip + limit}` : table;
}

/** What is wrong with a name that is neither an address nor the id of an authenticator. */
export class UnknownNameError extends Error {}

/**
 * Ends the suppression of an address, which is named by itself or by the id of one of its authenticators.
 *
 * @returns whether it was suppressed.
 * @throws UnknownNameError
 */
export async function releaseNamed({ store, keys }: Operator, name: string): Promise<boolean> {
  const canonical = name.includes("@")
    ? canonicalOf(name)
    : (await findOTPEmailById(store.db, name))?.address_canonical;
  if (canonical === undefined) {
    throw new UnknownNameError("that is neither an email address nor the id of an authenticator");
  }
  return store.write((trx) => releaseAddress(trx, keys, canonical));
}

function canonicalOf(address: string): string | undefined {
  const parsed = parseEmailAddress(address);
  return parsed.ok ? parsed.address.canonical : undefined;
}
