import { parseEmailAddress } from "../../lib/email-address.ts";
import { maskAddress } from "../../lib/mask-address.ts";
import { listSuppressions, releaseAddress } from "../../otp/delivery/suppressions.ts";
import { findOTPEmailById } from "../../otp/enrolment/read.ts";
import { UsageError, wholeNumber } from "../arguments.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { type Operator, openOperator } from "../operator.ts";
import { formatTable, formatTime } from "../table.ts";

export const suppressionList = defineCommand({
  name: "suppression list",
  usage: "",
  help: "Print suppressed addresses: no mail is sent to them, because earlier mails bounced.",
  options: {
    limit: { type: "string", placeholder: "N", default: "50", help: "How many addresses" },
    skip: {
      type: "string",
      placeholder: "N",
      default: "0",
      help: "How many addresses to skip: the next page",
    },
    addresses: { type: "boolean", help: "Show addresses in full" },
  },
  async run({ values: { limit, skip, addresses = false } }) {
    const options = {
      limit: wholeNumber("--limit", limit, 1, 9_999),
      skip: wholeNumber("--skip", skip, 0, 999_999_999),
      addresses,
    };
    await using operator = await openOperator();
    console.log(await describeSuppressions(operator, options));
    return exitCodes.ok;
  },
});

export const suppressionRelease = defineCommand({
  name: "suppression release",
  usage: "ADDRESS_OR_AUTHENTICATOR",
  help: "Send mails to an address again. It is named by itself, or by the id of an authenticator that has it.",
  options: {},
  async run({ argument }) {
    await using operator = await openOperator();
    const isReleased = await releaseNamed(operator, argument);
    console.log(isReleased ? "mails are sent to this address again" : "the address is not suppressed");
    return exitCodes.ok;
  },
});

interface ListOptions {
  readonly limit: number;
  readonly skip: number;
  /** Whether addresses are shown in full. */
  readonly addresses: boolean;
}

/**
 * A table with a line for each authenticator that has a suppressed address. Only a digest of the address is stored with a
 * suppression, so the line names the authenticator.
 */
async function describeSuppressions(
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

/**
 * Ends the suppression of an address, which is named by itself or by the id of one of its authenticators.
 *
 * @returns whether it was suppressed.
 * @throws UsageError if the name is neither.
 */
async function releaseNamed({ store, keys }: Operator, name: string): Promise<boolean> {
  const canonical = name.includes("@")
    ? canonicalOf(name)
    : (await findOTPEmailById(store.db, name))?.address_canonical;
  if (canonical === undefined) {
    throw new UsageError("this is neither an email address nor the id of an authenticator");
  }
  return store.write((trx) => releaseAddress(trx, keys, canonical));
}

function canonicalOf(address: string): string | undefined {
  const parsed = parseEmailAddress(address);
  return parsed.ok ? parsed.address.canonical : undefined;
}
