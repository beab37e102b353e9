import { type CodeFormat, codeSpace } from "./codes/code.ts";

/** Every limit, with its unit. */
export interface Policy {
  /** How many authenticators a user may have. */
  readonly otpEmailsMax: number;
  readonly enrolment: CodePolicy;
  readonly login: CodePolicy;
  readonly attempts: AttemptPolicy;
  readonly mails: MailPolicy;
}

export interface CodePolicy {
  readonly format: CodeFormat;
  /** How long a code lives. At most 10 minutes (ASVS 6.5.5). */
  readonly codeTtlMs: number;
  /** Wrong attempts at one code. With the last of them it dies; another code can be asked for. */
  readonly attemptsMax: number;
}

/** Wrong codes of one authenticator, over all its codes. A right one sets everything back. */
export interface AttemptPolicy {
  /** This many within an hour lock it. While they stand, so does each further one. */
  readonly perHourMax: number;
  /** This many in a row lock it for the longest time, and so does each further one (NIST SP 800-63B-4 3.2.2). */
  readonly inRowMax: number;
  /** The first lock, twice as long each further time… */
  readonly lockMsMin: number;
  /** …up to this long. */
  readonly lockMsMax: number;
}

/** Mails that are sent. What is returned to the caller, or vouched for by it, takes none of them. */
export interface MailPolicy {
  /** Between two mails of one authenticator. */
  readonly intervalMs: number;
  /** To one authenticator. */
  readonly perHourMax: number;
  readonly perDayMax: number;
  /** To one address, over all users and organizations. */
  readonly perAddressHourMax: number;
  /** Asked for from one client address (IPv6: from one /64). Infinity: as many as come. */
  readonly perClientHourMax: number;
  /** Of all together. Infinity: as many as come. */
  readonly allHourMax: number;
  /** Changes of one user that its other addresses are told of. */
  readonly noticesPerDayMax: number;
}

/**
 * More than any code has left of its life: 10 minutes, whatever the settings (ASVS 6.5.5), and one for clocks that differ. What
 * has more was made before the clock was set back.
 */
export const lifeLeftMsMax = 660_000;

export const hourMs = 3_600_000;
export const dayMs = 86_400_000;

/** The most that is allowed of one authenticator being guessed in a day. */
export const guessProbabilityMax = 1e-4;

/** How many wrong codes someone can try at one authenticator within a day, by what stops him. */
export interface GuessesPerDay {
  /** Where he is careful to stay below the limit of an hour, and then lets himself be locked. */
  readonly byHour: number;
  /** Where nobody passes a check in between: the limit in a row, and what the longest lock leaves after it. */
  readonly inRow: number;
  /** Where the owner passes checks in between, which sets back the two above: the mails of a day, each with a code. */
  readonly byMails: number;
  /** The most of all. */
  readonly most: number;
}

/** Upper bounds: they suppose that the attacker loses no time. */
export function guessesPerDay({ attempts, mails }: Policy, code: CodePolicy): GuessesPerDay {
  const byHour = Math.ceil(dayMs / hourMs) * (attempts.perHourMax - 1) + locksPerDay(attempts);
  const inRow = attempts.inRowMax + Math.ceil(dayMs / attempts.lockMsMax) - 1;
  const byMails = mails.perDayMax * code.attemptsMax;
  return { byHour, inRow, byMails, most: Math.max(Math.min(byHour, inRow), byMails) };
}

/** How likely one authenticator is to be guessed in a day by codes of one purpose, at most: a probability, 0 to 1. */
export function guessProbabilityPerDay(policy: Policy, code: CodePolicy): number {
  return Math.min(1, guessesPerDay(policy, code).most / Number(codeSpace(code.format)));
}

/**
 * The same over codes of both purposes. They share one budget of wrong codes and one of mails, so that to spend it on both
 * brings no more than to spend all of it on the one that is easier to guess.
 */
export function authenticatorGuessProbability(policy: Policy): number {
  const { enrolment, login } = policy;
  return Math.max(...[enrolment, login].map((code) => guessProbabilityPerDay(policy, code)));
}

/** How many locks can begin within a day, if each follows the one before. */
function locksPerDay(attempts: AttemptPolicy): number {
  let locks = 0;
  for (let time = 0; time < dayMs; locks++) time += lockMs(attempts, locks);
  return locks;
}

/** How long the lock lasts that follows `lockCount` earlier ones, in milliseconds. */
export function lockMs({ lockMsMin, lockMsMax }: AttemptPolicy, lockCount: number): number {
  return Math.min(lockMsMax, lockMsMin * 2 ** lockCount);
}
