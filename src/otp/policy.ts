import { dayMs, hourMs } from "../lib/time.ts";
import { type CodeFormat, codeSpace } from "./codes/code.ts";

/** All limits of the product. */
export interface Policy {
  /** Authenticators a user may have. */
  readonly otpEmailsMax: number;
  readonly enrolment: CodePolicy;
  readonly login: CodePolicy;
  readonly attempts: AttemptPolicy;
  readonly mails: MailPolicy;
}

export interface CodePolicy {
  readonly format: CodeFormat;
  /** The lifetime of a code: at most 10 minutes (ASVS 6.5.5). */
  readonly codeTtlMs: number;
  /** Attempts at one code. After the last wrong one, a new code has to be requested. */
  readonly attemptsMax: number;
}

/** Limits on wrong codes at one authenticator, over all its codes. A right code resets them. */
export interface AttemptPolicy {
  /** This many within an hour lock the authenticator. Each further one within the hour locks it again. */
  readonly perHourMax: number;
  /** This many in a row lock it for `lockMsMax`, and so does each further one (NIST SP 800-63B-4 §3.2.2). */
  readonly inRowMax: number;
  /** The first lock. Each further one is twice as long… */
  readonly lockMsMin: number;
  /** …up to this long. */
  readonly lockMsMax: number;
}

/** Limits on mails. Codes that are returned and addresses that are vouched for don't count. */
export interface MailPolicy {
  /** The interval between two mails to one authenticator. */
  readonly intervalMs: number;
  /** To one authenticator. */
  readonly perHourMax: number;
  readonly perDayMax: number;
  /** To one address, over all users and organizations. */
  readonly perAddressHourMax: number;
  /** Requested from one client address (IPv6: from one /64). Infinity: off. */
  readonly perClientHourMax: number;
  /** All mails together. Infinity: off. */
  readonly allHourMax: number;
  /** Changes to one user that its other addresses get notices of. */
  readonly noticesPerDayMax: number;
}

/**
 * No live code has more time left: 10 minutes, the maximum of the settings (ASVS 6.5.5), and one more for clocks that differ
 * between processes.
 */
export const lifeLeftMsMax = 660_000;

/** The allowed probability that one authenticator is guessed in a day. */
export const guessProbabilityMax = 1e-4;

/** The wrong codes an attacker can try at one authenticator in a day, by strategy. Upper bounds. */
export interface GuessesPerDay {
  /** Staying just below the hourly limit, then running into the locks. */
  readonly byHour: number;
  /** Without a right code in between: the limit in a row, then one for each `lockMsMax`. */
  readonly inRow: number;
  /** While the owner enters right codes, which resets the two above: all attempts at the codes mailed in a day. */
  readonly byMails: number;
  /** The best of them: `byMails`, or the smaller of the other two. */
  readonly limit: number;
}

/** Assumes that the attacker loses no time. */
export function guessesPerDay({ attempts, mails }: Policy, code: CodePolicy): GuessesPerDay {
  const byHour = Math.ceil(dayMs / hourMs) * (attempts.perHourMax - 1) + locksPerDay(attempts);
  const inRow = attempts.inRowMax + Math.ceil(dayMs / attempts.lockMsMax) - 1;
  const byMails = mails.perDayMax * code.attemptsMax;
  return { byHour, inRow, byMails, limit: Math.max(Math.min(byHour, inRow), byMails) };
}

/** Returns the maximum probability (0 to 1) of guessing a code of one purpose at one authenticator in a day. */
export function guessProbabilityPerDay(policy: Policy, code: CodePolicy): number {
  return Math.min(1, guessesPerDay(policy, code).limit / Number(codeSpace(code.format)));
}

/**
 * The same over both purposes. They share the limits, so the best attack spends all guesses on the code that is easier to
 * guess.
 */
export function authenticatorGuessProbability(policy: Policy): number {
  const { enrolment, login } = policy;
  return Math.max(...[enrolment, login].map((code) => guessProbabilityPerDay(policy, code)));
}

/** The number of locks that can start in a day, each when the one before ends. */
function locksPerDay(attempts: AttemptPolicy): number {
  let locks = 0;
  for (let time = 0; time < dayMs; locks++) time += lockMs(attempts, locks);
  return locks;
}

/** Returns the duration in milliseconds of the lock after `lockCount` earlier ones. */
export function lockMs({ lockMsMin, lockMsMax }: AttemptPolicy, lockCount: number): number {
  return Math.min(lockMsMax, lockMsMin * 2 ** lockCount);
}
