import { invalidArgument } from "../lib/errors.ts";

const lengthMax = 200;

/**
 * Checks a string of 1 to 200 characters (code points) that can be stored: well-formed Unicode without U+0000.
 *
 * @throws INVALID_ARGUMENT that names the field.
 */
export function requireText(value: string, field: string): string {
  if (value === "")
    throw invalidArgument("REQUEST_INVALID", field, `${field} is missing: give 1 to ${lengthMax} characters`);
  // A code point is one or two units: most strings need no count.
  if (value.length > lengthMax && (value.length > 2 * lengthMax || [...value].length > lengthMax)) {
    throw invalidArgument(
      "REQUEST_INVALID",
      field,
      `${field} is too long: give 1 to ${lengthMax} characters`,
    );
  }
  if (value.includes("\0") || !value.isWellFormed()) {
    throw invalidArgument("REQUEST_INVALID", field, `${field} must be Unicode text without U+0000`);
  }
  return value;
}

/** Checks a name that is shown to people: text without control characters. */
export function requireName(value: string, field: string): string {
  requireText(value, field);
  if (/\p{Cc}/u.test(value)) {
    throw invalidArgument("REQUEST_INVALID", field, `${field} must not contain control characters`);
  }
  return value;
}

/** Checks a BCP 47 language tag and returns it in its canonical form. */
export function requireLanguage(value: string, field: string): string {
  requireText(value, field);
  try {
    return new Intl.Locale(value).toString();
  } catch {
    throw invalidArgument("REQUEST_INVALID", field, `${field} must be a BCP 47 language tag such as en-GB`);
  }
}

const pageSizeDefault = 50;
const pageSizeMax = 100;

/** Checks a `page_size` and returns how many items a page has (AIP-158). */
export function requirePageSize(value: number): number {
  if (value < 0) {
    throw invalidArgument(
      "REQUEST_INVALID",
      "page_size",
      `page_size must not be negative: give 1 to ${pageSizeMax}, or leave it out`,
    );
  }
  return value === 0 ? pageSizeDefault : Math.min(value, pageSizeMax);
}
