import * as v from "valibot";
import { dayMs, hourMs, secondMs } from "../lib/time.ts";
import { codeBits } from "../otp/codes/code.ts";
import { authenticatorGuessProbability, guessProbabilityMax, type Policy } from "../otp/policy.ts";
import { defaultsOf, type Given, type Settings, type Values } from "./setting.ts";
import { ceiling, duration, integer } from "./values.ts";

/** OWASP ASVS 5.0, 6.5.5: a code lives for at most 10 minutes. */
const codeTtl = duration(30_000, 600_000, "30s to 10m (ASVS 6.5.5)");

export const limitSettings = {
  COUNTERSIGN_OTP_EMAILS_MAX: {
    check: integer(1, 100),
    default: "10",
    help: "Authenticators (email addresses) per user",
  },
  COUNTERSIGN_CODE_ALPHABET: {
    check: v.picklist(["crockford", "digits"], "must be crockford or digits"),
    default: "crockford",
    help: "Alphabet of the code that verifies an address: `crockford` (letters and digits) or `digits`",
  },
  COUNTERSIGN_CODE_LENGTH: {
    check: integer(4, 12),
    default: "8",
    help: "Characters of the code that verifies an address",
  },
  COUNTERSIGN_CODE_TTL: {
    check: codeTtl,
    default: "10m",
    help: "Lifetime of the code that verifies an address, 30s to 10m",
  },
  COUNTERSIGN_LOGIN_CODE_LENGTH: {
    check: integer(6, 12),
    default: "6",
    help: "Digits of a login code, 6 to 12",
  },
  COUNTERSIGN_LOGIN_CODE_TTL: {
    check: codeTtl,
    default: "5m",
    help: "Lifetime of a login code, 30s to 10m",
  },
  COUNTERSIGN_CODE_ATTEMPTS_MAX: {
    check: integer(1, 20),
    default: "5",
    help: "Wrong attempts after which a code of either kind is void",
  },
  COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX: {
    check: integer(1, 100),
    default: "10",
    help: "Wrong attempts within an hour after which the authenticator is locked",
  },
  COUNTERSIGN_ATTEMPTS_IN_ROW_MAX: {
    check: integer(1, 1_000),
    default: "100",
    help: "Wrong attempts in a row after which the authenticator is locked for `COUNTERSIGN_LOCK_MAX`",
  },
  COUNTERSIGN_LOCK_MIN: {
    check: duration(secondMs, dayMs, "1s to 1d"),
    default: "5m",
    help: "Duration of the first lock. Each further one lasts twice as long",
  },
  COUNTERSIGN_LOCK_MAX: {
    check: duration(secondMs, 7 * dayMs, "1s to 7d"),
    default: "1d",
    help: "Duration of the longest lock",
  },
  COUNTERSIGN_MAIL_INTERVAL: {
    check: duration(0, hourMs, "0s to 1h"),
    default: "60s",
    help: "Time between two mails for one authenticator",
  },
  COUNTERSIGN_MAILS_PER_HOUR_MAX: {
    check: integer(1, 1_000),
    default: "5",
    help: "Mails per authenticator and hour",
  },
  COUNTERSIGN_MAILS_PER_DAY_MAX: {
    check: integer(1, 1_000),
    default: "20",
    help: "Mails per authenticator and day",
  },
  COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: {
    check: integer(1, 1_000),
    default: "5",
    help: "Mails per address and hour, over all users and organizations",
  },
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: {
    check: ceiling,
    default: "1000",
    help: "Mails per client address (IPv6: per /64) and hour, or `off`",
  },
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: {
    check: ceiling,
    default: "10000",
    help: "Mails in total per hour, or `off` (see docs/scale.md)",
  },
  COUNTERSIGN_NOTICES_PER_DAY_MAX: {
    check: integer(1, 1_000),
    default: "20",
    help: "Changes per user and day that the other addresses of the user are notified of",
  },
} satisfies Settings;

export function toPolicy(values: Values<typeof limitSettings>): Policy {
  const attemptsMax = values.COUNTERSIGN_CODE_ATTEMPTS_MAX;
  return {
    otpEmailsMax: values.COUNTERSIGN_OTP_EMAILS_MAX,
    enrolment: {
      format: { alphabet: values.COUNTERSIGN_CODE_ALPHABET, length: values.COUNTERSIGN_CODE_LENGTH },
      codeTtlMs: values.COUNTERSIGN_CODE_TTL,
      attemptsMax,
    },
    login: {
      format: { alphabet: "digits", length: values.COUNTERSIGN_LOGIN_CODE_LENGTH },
      codeTtlMs: values.COUNTERSIGN_LOGIN_CODE_TTL,
      attemptsMax,
    },
    attempts: {
      perHourMax: values.COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX,
      inRowMax: values.COUNTERSIGN_ATTEMPTS_IN_ROW_MAX,
      lockMsMin: values.COUNTERSIGN_LOCK_MIN,
      lockMsMax: values.COUNTERSIGN_LOCK_MAX,
    },
    mails: {
      intervalMs: values.COUNTERSIGN_MAIL_INTERVAL,
      perHourMax: values.COUNTERSIGN_MAILS_PER_HOUR_MAX,
      perDayMax: values.COUNTERSIGN_MAILS_PER_DAY_MAX,
      perAddressHourMax: values.COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX,
      perClientHourMax: values.COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX,
      allHourMax: values.COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX,
      noticesPerDayMax: values.COUNTERSIGN_NOTICES_PER_DAY_MAX,
    },
  };
}

const defaults = defaultsOf(limitSettings);

/** The limits where none are set. */
export const defaultPolicy: Policy = toPolicy(defaults);

/** Reports limits that contradict each other, or under which codes can be guessed. */
export function unsafePolicy({ valid }: Given<typeof limitSettings>): string[] {
  // An invalid limit counts as its default here, so that all problems are reported at once.
  const policy = toPolicy({ ...defaults, ...valid });
  const problems: string[] = [];
  if (policy.attempts.lockMsMax < policy.attempts.lockMsMin) {
    problems.push("COUNTERSIGN_LOCK_MAX must not be shorter than COUNTERSIGN_LOCK_MIN");
  }
  if (codeBits(policy.enrolment.format) < 19.9) {
    problems.push(
      "COUNTERSIGN_CODE_LENGTH is too short: at least 6 digits or 4 letters (20 bits, ASVS 6.5.4)",
    );
  }
  if (authenticatorGuessProbability(policy) > guessProbabilityMax) {
    problems.push(
      `${guessingNames.join(", ")} together let one authenticator be guessed with a probability above ` +
        `${guessProbabilityMax} in a day: choose longer codes or locks, or fewer attempts or mails ` +
        "(countersign doctor limits shows the calculation)",
    );
  }
  return problems;
}

/** The settings that `authenticatorGuessProbability` depends on. */
const guessingNames = [
  "COUNTERSIGN_CODE_LENGTH",
  "COUNTERSIGN_LOGIN_CODE_LENGTH",
  "COUNTERSIGN_CODE_ATTEMPTS_MAX",
  "COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX",
  "COUNTERSIGN_ATTEMPTS_IN_ROW_MAX",
  "COUNTERSIGN_LOCK_MIN",
  "COUNTERSIGN_LOCK_MAX",
  "COUNTERSIGN_MAILS_PER_DAY_MAX",
] as const satisfies readonly (keyof typeof limitSettings)[];
