import { type EmailAddress, parseEmailAddress } from "../lib/email-address.ts";
import { Refusal } from "../lib/refusal.ts";

const lengthMax = 200;

/**
 * Requires 1 to 200 characters (code points) of well-formed Unicode without U+0000, which PostgreSQL cannot store.
 *
 * @throws Refusal REQUEST_INVALID
 */
export function requireText(value: string, field: string): string {
  if (value === "")
    throw new Refusal("REQUEST_INVALID", `${field} is missing: give 1 to ${lengthMax} characters`, { field });
  // A code point takes one or two code units, so most strings need no counting.
  if (value.length > lengthMax && (value.length > 2 * lengthMax || [...value].length > lengthMax)) {
    throw new Refusal("REQUEST_INVALID", `${field} is too long: give 1 to ${lengthMax} characters`, {
      field,
    });
  }
  if (value.includes("\0") || !value.isWellFormed()) {
    throw new Refusal("REQUEST_INVALID", `${field} must be Unicode text without U+0000`, { field });
  }
  return value;
}

/** Requires text without control characters, for display. */
export function requireName(value: string, field: string): string {
  requireText(value, field);
  if (/\p{Cc}/u.test(value)) {
    throw new Refusal("REQUEST_INVALID", `${field} must not contain control characters`, { field });
  }
  return value;
}

/** Returns the canonical form of a BCP 47 language tag. */
export function requireLanguage(value: string, field: string): string {
  requireText(value, field);
  try {
    return new Intl.Locale(value).toString();
  } catch {
    throw new Refusal("REQUEST_INVALID", `${field} must be a BCP 47 language tag such as en-GB`, { field });
  }
}

const pageSizeDefault = 50;
const pageSizeMax = 100;

/** Returns the effective `page_size` (AIP-158). */
export function requirePageSize(value: number): number {
  if (value < 0) {
    throw new Refusal(
      "REQUEST_INVALID",
      `page_size must not be negative: give 1 to ${pageSizeMax}, or leave it out`,
      { field: "page_size" },
    );
  }
  return value === 0 ? pageSizeDefault : Math.min(value, pageSizeMax);
}

/**
 * @param utf8 whether non-ASCII local parts are accepted (RFC 6531).
 * @throws Refusal EMAIL_INVALID
 */
export function parseAddress(address: string, field: string, utf8: boolean): EmailAddress {
  const parsed = parseEmailAddress(address, { utf8 });
  if (!parsed.ok) throw new Refusal("EMAIL_INVALID", parsed.problem, { field });
  return parsed.address;
}

/** Parses the caller's reason for a change, for the audit log. */
export function parseReason({ reason }: { readonly reason?: string }): string | undefined {
  return reason === undefined ? undefined : requireName(reason, "reason");
}
