import * as v from "valibot";
import { codeBits } from "../otp/codes/code.ts";
import {
  authenticatorGuessProbability,
  defaultPolicy,
  guessProbabilityMax,
  type Policy,
} from "../otp/policy.ts";
import { ceiling, duration, integer } from "./values.ts";

export const policyEntries = {
  COUNTERSIGN_OTP_EMAILS_MAX: v.optional(integer(1, 100), "10"),
  COUNTERSIGN_CODE_ALPHABET: v.optional(
    v.picklist(["crockford", "digits"], "must be crockford or digits"),
    "crockford",
  ),
  COUNTERSIGN_CODE_LENGTH: v.optional(integer(4, 12), "8"),
  COUNTERSIGN_CODE_TTL: v.optional(duration(30_000, 600_000, "30s to 10m (ASVS 6.5.5)"), "10m"),
  COUNTERSIGN_LOGIN_CODE_LENGTH: v.optional(integer(6, 12), "6"),
  COUNTERSIGN_LOGIN_CODE_TTL: v.optional(duration(30_000, 600_000, "30s to 10m (ASVS 6.5.5)"), "5m"),
  COUNTERSIGN_CODE_ATTEMPTS_MAX: v.optional(integer(1, 20), "5"),
  COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX: v.optional(integer(1, 100), "10"),
  COUNTERSIGN_ATTEMPTS_IN_ROW_MAX: v.optional(integer(1, 1_000), "100"),
  COUNTERSIGN_MAIL_INTERVAL: v.optional(duration(0, 3_600_000, "0s to 1h"), "60s"),
  COUNTERSIGN_MAILS_PER_HOUR_MAX: v.optional(integer(1, 1_000), "5"),
  COUNTERSIGN_MAILS_PER_DAY_MAX: v.optional(integer(1, 1_000), "20"),
  COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: v.optional(integer(1, 1_000), "5"),
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: v.optional(ceiling, "1000"),
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: v.optional(ceiling, "10000"),
  COUNTERSIGN_NOTICES_PER_DAY_MAX: v.optional(integer(1, 1_000), "20"),
  COUNTERSIGN_LOCK_MIN: v.optional(duration(1_000, 86_400_000, "1s to 1d"), "5m"),
  COUNTERSIGN_LOCK_MAX: v.optional(duration(1_000, 7 * 86_400_000, "1s to 7d"), "1d"),
};

type PolicySettings = v.InferOutput<v.ObjectSchema<typeof policyEntries, undefined>>;

export function toPolicy(settings: Partial<PolicySettings>): Policy {
  const { otpEmailsMax, enrolment, login, attempts, mails } = defaultPolicy;
  const attemptsMax = settings.COUNTERSIGN_CODE_ATTEMPTS_MAX ?? enrolment.attemptsMax;
  return {
    otpEmailsMax: settings.COUNTERSIGN_OTP_EMAILS_MAX ?? otpEmailsMax,
    enrolment: {
      format: {
        alphabet: settings.COUNTERSIGN_CODE_ALPHABET ?? enrolment.format.alphabet,
        length: settings.COUNTERSIGN_CODE_LENGTH ?? enrolment.format.length,
      },
      codeTtlMs: settings.COUNTERSIGN_CODE_TTL ?? enrolment.codeTtlMs,
      attemptsMax,
    },
    login: {
      format: {
        alphabet: login.format.alphabet,
        length: settings.COUNTERSIGN_LOGIN_CODE_LENGTH ?? login.format.length,
      },
      codeTtlMs: settings.COUNTERSIGN_LOGIN_CODE_TTL ?? login.codeTtlMs,
      attemptsMax,
    },
    attempts: {
      perHourMax: settings.COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX ?? attempts.perHourMax,
      inRowMax: settings.COUNTERSIGN_ATTEMPTS_IN_ROW_MAX ?? attempts.inRowMax,
      lockMsMin: settings.COUNTERSIGN_LOCK_MIN ?? attempts.lockMsMin,
      lockMsMax: settings.COUNTERSIGN_LOCK_MAX ?? attempts.lockMsMax,
    },
    mails: {
      intervalMs: settings.COUNTERSIGN_MAIL_INTERVAL ?? mails.intervalMs,
      perHourMax: settings.COUNTERSIGN_MAILS_PER_HOUR_MAX ?? mails.perHourMax,
      perDayMax: settings.COUNTERSIGN_MAILS_PER_DAY_MAX ?? mails.perDayMax,
      perAddressHourMax: settings.COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX ?? mails.perAddressHourMax,
      perClientHourMax: settings.COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX ?? mails.perClientHourMax,
      allHourMax: settings.COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX ?? mails.allHourMax,
      noticesPerDayMax: settings.COUNTERSIGN_NOTICES_PER_DAY_MAX ?? mails.noticesPerDayMax,
    },
  };
}

/** What would let codes be guessed. */
export function unsafePolicy(settings: Partial<PolicySettings>): string[] {
  const policy = toPolicy(settings);
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
      "COUNTERSIGN_CODE_LENGTH, COUNTERSIGN_LOGIN_CODE_LENGTH, COUNTERSIGN_CODE_ATTEMPTS_MAX, " +
        "COUNTERSIGN_ATTEMPTS_PER_HOUR_MAX, COUNTERSIGN_ATTEMPTS_IN_ROW_MAX, COUNTERSIGN_LOCK_MIN, COUNTERSIGN_LOCK_MAX and COUNTERSIGN_MAILS_PER_DAY_MAX " +
        `together let one authenticator be guessed with a probability above ${guessProbabilityMax} in a day: lengthen the ` +
        "code or the lock, or allow fewer attempts or mails (countersign doctor limits shows the sum)",
    );
  }
  return problems;
}
