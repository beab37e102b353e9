import { type EmailAddress, parseEmailAddress } from "../lib/email-address.ts";
import { Refusal } from "../lib/refusal.ts";

const lengthMax = 200;

/**
 * Checks a string of 1 to 200 characters (code points) that can be stored: well-formed Unicode without U+0000.
 *
 * @throws INVALID_ARGUMENT that names the field.
 */
export function requireText(value: string, field: string): string {
  if (value === "")
    throw new Refusal("REQUEST_INVALID", `${field} is missing: give 1 to ${lengthMax} characters`, { field });
  // A code point is one or two units: most strings need no count.
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

/** Checks a name that is shown to people: text without control characters. */
export function requireName(value: string, field: string): string {
  requireText(value, field);
  if (/\p{Cc}/u.test(value)) {
    throw new Refusal("REQUEST_INVALID", `${field} must not contain control characters`, { field });
  }
  return value;
}

/** Checks a BCP 47 language tag and returns it in its canonical form. */
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

/** Checks a `page_size` and returns how many items a page has (AIP-158). */
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
 * Reads an email address.
 *
 * @param utf8 whether local parts beyond ASCII are accepted (RFC 6531).
 * @throws EMAIL_INVALID
 */
export function parseAddress(address: string, field: string, utf8: boolean): EmailAddress {
  const parsed = parseEmailAddress(address, { utf8 });
  if (!parsed.ok) throw new Refusal("EMAIL_INVALID", parsed.problem, { field });
  return parsed.address;
}

/** The reason that a caller gives for a change, for the audit log. */
export function parseReason({ reason }: { readonly reason?: string }): string | undefined {
  return reason === undefined ? undefined : requireName(reason, "reason");
}
