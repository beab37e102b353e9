import { type CodeFormat, codeBits } from "./code.ts";

/** Every limit, with its unit. */
export interface Policy {
  /** How many authenticators a user may have. */
  readonly otpEmailsMax: number;
  readonly enrolment: CodePolicy;
  /** An authenticator whose attempts are spent is locked for this long, twice as long each further time… */
  readonly lockMsMin: number;
  /** …up to this long. A right code sets it back. */
  readonly lockMsMax: number;
}

export interface CodePolicy {
  readonly format: CodeFormat;
  /** How long a code lives. At most 10 minutes (ASVS 6.5.5). */
  readonly codeTtlMs: number;
  /**
   * Wrong attempts, over all codes of an authenticator since the last right one or lock. The last of them locks it, and
   * its code dies.
   */
  readonly attemptsMax: number;
}

export const defaultPolicy: Policy = {
  otpEmailsMax: 10,
  enrolment: { format: { alphabet: "crockford", length: 8 }, codeTtlMs: 600_000, attemptsMax: 5 },
  lockMsMin: 300_000,
  lockMsMax: 86_400_000,
};

/** The most that is allowed of one authenticator being guessed in a day. */
export const guessProbabilityMax = 1e-4;

const dayMs = 86_400_000;

/**
 * How likely one authenticator is to be guessed in a day, at most: by someone who asks for new codes, spends every
 * attempt at once and waits only for the locks. (A new code alone does not bring new attempts.)
 *
 * @returns a probability, 0 to 1.
 */
export function guessProbabilityPerDay(policy: Policy): number {
  const attempts = attemptsPerDay(policy, policy.enrolment);
  return Math.min(1, attempts / 2 ** codeBits(policy.enrolment.format));
}

/** The first day is the worst: later days begin with longer locks. */
function attemptsPerDay(policy: Policy, code: CodePolicy): number {
  let attempts = 0;
  for (let time = 0, lockCount = 0; time < dayMs; lockCount++) {
    attempts += code.attemptsMax;
    time += lockMs(policy, lockCount);
  }
  return attempts;
}

/** How long the lock lasts that follows `lockCount` earlier ones, in milliseconds. */
export function lockMs(policy: Policy, lockCount: number): number {
  return Math.min(policy.lockMsMax, policy.lockMsMin * 2 ** lockCount);
}
