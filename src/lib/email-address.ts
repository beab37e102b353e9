import { domainToASCII, domainToUnicode } from "node:url";

/** An email address in the three forms that are used. */
export interface EmailAddress {
  /** For display: as given, in NFC. */
  readonly given: string;
  /** For sending: the domain as lower-case A-labels. A non-ASCII local part needs SMTPUTF8 (RFC 6531). */
  readonly mailbox: string;
  /** For uniqueness: local part and domain in lower case, the domain as A-labels. Plus tags and dots are kept. */
  readonly canonical: string;
}

/** `problem` says what is wrong and what to do, in one sentence that does not quote the input. */
type ParsedEmailAddress =
  | { readonly ok: true; readonly address: EmailAddress }
  | { readonly ok: false; readonly problem: string };

interface AddressOptions {
  /** Whether non-ASCII local parts are accepted (RFC 6531 §3.3). Defaults to false. */
  readonly utf8?: boolean;
}

/**
 * Parses an email address: a mailbox of RFC 5321 §4.1.2, without the parts that mail software is known to interpret
 * differently (quoted local parts, comments, address literals, source routes, display names).
 */
export function parseEmailAddress(input: string, { utf8 = false }: AddressOptions = {}): ParsedEmailAddress {
  if (input === "") return invalid("the address is missing: give one such as mini@mouse.com");
  // First, so that the checks below see at most 400 UTF-16 code units.
  if (isTooLong(input)) return invalid(`the address is too long: give at most ${charactersMax} characters`);
  const plain = parsePlain(input);
  if (plain) return { ok: true, address: plain };
  return parseSpecial(input, utf8);
}

/**
 * Fast path for nearly all addresses: an ASCII dot-atom and a lower-case ASCII domain without A-labels, which Unicode
 * normalization and IDNA leave unchanged.
 *
 * @param input at most 200 characters.
 * @returns the same as `parseSpecial`, or undefined for any other input, valid or not.
 */
export function parsePlain(input: string): EmailAddress | undefined {
  if (input.indexOf("@") > localPartMax || !plainAddress.test(input)) return undefined;
  return { given: input, mailbox: input, canonical: input.toLowerCase() };
}

/** Without `xn--` labels, which may be invalid, and with a letter at the start of the last label: it could be a number. */
const plainAddress =
  /^[A-Za-z0-9#$&'*+/=?^_{|}~-]+(?:\.[A-Za-z0-9#$&'*+/=?^_{|}~-]+)*@(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?!xn--)[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

/** Parses any address of at most 200 characters. @param utf8 whether non-ASCII local parts are accepted. */
export function parseSpecial(input: string, utf8: boolean): ParsedEmailAddress {
  if (!input.isWellFormed())
    return invalid("the address must be well-formed Unicode: remove lone surrogates");
  if (invisible.test(input)) {
    return invalid(
      "the address must not contain spaces, line breaks, control or invisible characters: remove them",
    );
  }

  const [typed, domain, ...more] = input.split("@");
  if (typed === undefined || domain === undefined || more.length > 0) {
    return invalid("the address must contain exactly one @: give a single address such as mini@mouse.com");
  }
  const problem = localPartProblem(typed) ?? (isASCII(typed) ? undefined : utf8Problem(typed, utf8));
  if (problem !== undefined) return invalid(problem);
  const local = typed.normalize("NFC");
  const parsed = parseDomain(domain);
  if (!parsed.ok) return parsed;

  const given = `${local}@${parsed.given}`;
  const mailbox = `${local}@${parsed.ascii}`;
  // Again, because NFC makes some characters longer, and the stored form must parse too.
  if (isTooLong(given)) return invalid(`the address is too long: give at most ${charactersMax} characters`);
  const canonical = `${foldCase(local)}@${parsed.ascii}`;
  // Lower case makes some letters longer.
  if (Math.max(octetsOf(mailbox), octetsOf(canonical)) > octetsMax) {
    return invalid(
      `the address is too long: with its domain in ASCII (IDNA) it must be at most ${octetsMax} octets`,
    );
  }
  return { ok: true, address: { given, mailbox, canonical } };
}

/** The limit of the API, in code points. */
const charactersMax = 200;

/** RFC 5321 §4.5.3.1.3: 256 octets for a path, including two angle brackets. */
const octetsMax = 254;

/** RFC 5321 §4.5.3.1.1, in octets. */
const localPartMax = 64;

const invisible = /[\p{Cc}\p{Cf}\p{Z}\p{Default_Ignorable_Code_Point}]/u;

/** atext of RFC 5322 §3.2.3 and the dot, without `!` and `%`, which relays have used for routing, and the backtick. */
const localPartCharacters = /^[A-Za-z0-9#$&'*+/=?^_{|}~.\P{ASCII}-]*$/u;

/** Only letters, marks and numbers of what RFC 6531 §3.3 adds. A mark can't come first. */
const utf8Characters = /^(?!\p{M})[\p{ASCII}\p{L}\p{M}\p{N}]*$/u;

/** The input of UTS 46. Of ASCII, letters, digits, hyphens and dots only: the URL parser would decode `%2e`. */
const domainCharacters = /^[A-Za-z0-9.\u{80}-\u{10ffff}-]+$/u;

/** RFC 1035 §2.3.1, with the leading digit of RFC 1123 §2.1. */
const asciiLabel = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

function localPartProblem(local: string): string | undefined {
  if (local === "") return "the part before the @ is missing: give an address such as mini@mouse.com";
  if (Math.max(octetsOf(local), octetsOf(foldCase(local.normalize("NFC")))) > localPartMax) {
    return `the part before the @ is too long: it must be at most ${localPartMax} octets`;
  }
  if (!localPartCharacters.test(local)) {
    return "the part before the @ may only contain ASCII letters, digits, dots and #$&'*+-/=?^_{|}~: give the plain address, without quotes, comments, brackets, lists or routes";
  }
  if (local.startsWith(".") || local.endsWith(".") || local.includes("..")) {
    return "the part before the @ must not start or end with a dot or have two dots in a row: check the dots";
  }
  return undefined;
}

/**
 * Checks a non-ASCII local part. Characters with a compatibility decomposition (full-width letters, ligatures) or that
 * normalize to ASCII (the Kelvin sign) are refused: mail systems may treat them as the normal spelling, and deliver to
 * another mailbox (CVE-2026-73420).
 */
function utf8Problem(local: string, accepted: boolean): string | undefined {
  const normal = local.normalize("NFC");
  if (!utf8Characters.test(normal) || [...local].some(isSingleton) || normal !== local.normalize("NFKC")) {
    return "the part before the @ may only contain letters, marks and numbers in their normal form: give another address";
  }
  // The canonical form must be valid and stable too.
  const folded = foldCase(normal);
  if (folded !== foldCase(folded) || !utf8Characters.test(folded) || folded !== folded.normalize("NFKC")) {
    return "the part before the @ has letters without a stable lower case: write it in lower case, or give another address";
  }
  if (accepted) return undefined;
  return "the mail system cannot reach this address: the part before the @ is not ASCII, which needs SMTPUTF8 (RFC 6531), and no relay offers it. Give another address";
}

function foldCase(local: string): string {
  return local.toLowerCase().normalize("NFC");
}

function isASCII(text: string): boolean {
  return !/\P{ASCII}/u.test(text);
}

function octetsOf(text: string): number {
  return Buffer.byteLength(text);
}

type ParsedDomain =
  | { readonly ok: true; readonly given: string; readonly ascii: string }
  | { readonly ok: false; readonly problem: string };

function parseDomain(domain: string): ParsedDomain {
  if (!domain.includes(".")) {
    return invalid("the domain must have at least one dot: give a full domain such as mouse.com");
  }
  if (!domainCharacters.test(domain)) {
    return invalid(
      "the domain may only contain letters, digits, hyphens and dots: give a plain domain such as mouse.com",
    );
  }

  if (/\.[0-9]+$/.test(domain)) {
    return invalid("the domain must not end in a number: give a domain name, not an IP address");
  }

  const given = domain.normalize("NFC");
  const ascii = domainToASCII(given);
  const labels = ascii.split(".");
  if (ascii !== "" && !labels.every((label) => asciiLabel.test(label))) {
    return invalid(
      "each part of the domain between dots must be 1 to 63 characters (in ASCII) and not start or end with a hyphen: check the domain",
    );
  }
  if (!isStable(domain, given, ascii)) {
    return invalid(
      "the domain is not a valid internationalized name in its normal form: write it in lower case, or as A-labels (xn--…)",
    );
  }
  return { ok: true, given, ascii };
}

/**
 * Whether UTS 46 changes only the case of a domain. It maps full-width letters, circled letters, U+3002 and others to
 * what they look like, so domains that software treats as different would become one mailbox (CVE-2026-73420, and U+FF20
 * in NextAuth).
 *
 * @param ascii the A-labels of `given`, or "" if UTS 46 refuses it.
 */
function isStable(domain: string, given: string, ascii: string): boolean {
  if (ascii === "" || [...domain].some(isSingleton)) return false;
  const unicode = domainToUnicode(ascii);
  // Refuses A-labels that decode to ASCII or have another spelling, such as `xn--a-` for `a`.
  if (domainToASCII(unicode) !== ascii) return false;
  const spellings = [ascii.split("."), unicode.split(".")] as const;
  const labels = given.toLowerCase().normalize("NFC").split(".");
  if (spellings.some((spelling) => spelling.length !== labels.length)) return false;
  return labels.every((label, i) => spellings.some((spelling) => spelling[i] === label));
}

/** Whether NFC replaces the character by a single other one, such as U+212A KELVIN SIGN by K (UAX #15, singletons). */
function isSingleton(character: string): boolean {
  const normal = character.normalize("NFC");
  return normal !== character && [...normal].length === 1;
}

function isTooLong(text: string): boolean {
  // A code point takes one or two code units.
  return text.length > charactersMax && (text.length > 2 * charactersMax || [...text].length > charactersMax);
}

function invalid(problem: string): { readonly ok: false; readonly problem: string } {
  return { ok: false, problem };
}
