import { problemsOf } from "../../db/sqlite/integrity.ts";
import { codeSpace } from "../../otp/codes/code.ts";
import {
  authenticatorGuessProbability,
  type CodePolicy,
  guessesPerDay,
  guessProbabilityMax,
  guessProbabilityPerDay,
  type Policy,
} from "../../otp/policy.ts";

/** What `countersign doctor limits` prints: how likely one authenticator is to be guessed in a day, and why. */
export function describeLimits(policy: Policy): string {
  const { attempts, mails } = policy;
  return [
    "How likely is one authenticator to be guessed in a day, at most?",
    "",
    ...describeCode(policy, "Login", policy.login),
    "",
    ...describeCode(policy, "Enrolment", policy.enrolment),
    "",
    `Both: ${odds(authenticatorGuessProbability(policy))}`,
    "  An authenticator has one budget of wrong codes and of mails for both, so that its easier code is what counts.",
    "",
    `Above 1 in ${count(1 / guessProbabilityMax)} the service does not start. How the sum is made:`,
    "",
    `  by the hour  ${attempts.perHourMax - 1} wrong codes in each of 24 hours lock nothing; the next one of an hour does, first for`,
    `               ${span(attempts.lockMsMin)}, then twice as long each time, up to ${span(attempts.lockMsMax)}.`,
    `  in a row     The ${attempts.inRowMax}th wrong code in a row locks for ${span(attempts.lockMsMax)}, and so does each further one. Of these two`,
    "               limits the lower holds.",
    `  by mails     A right code sets both back. Whoever guesses while the owner passes checks needs a new code for each`,
    `               few wrong ones, and ${mails.perDayMax} codes are mailed in a day. Where your application has codes returned instead`,
    "               of mailed, it decides how many there are.",
  ].join("\n");
}

/**
 * What `countersign doctor database` finds wrong, a line each.
 *
 * @throws if there is no such database, or it is not SQLite: others have tools of their own.
 */
export function examineDatabase(databaseUrl: string): string[] {
  if (!databaseUrl.startsWith("sqlite:"))
    throw new Error("only SQLite is looked at here: use the tools of PostgreSQL, such as pg_amcheck");
  return problemsOf(databaseUrl.slice("sqlite:".length));
}

function describeCode(policy: Policy, name: string, code: CodePolicy): string[] {
  const { alphabet, length } = code.format;
  const { byHour, inRow, byMails, most } = guessesPerDay(policy, code);
  const probability = guessProbabilityPerDay(policy, code);
  return [
    `${name}: ${odds(probability)}`,
    `  ${length} ${alphabet === "digits" ? "digits" : "letters and digits"}: ${count(Number(codeSpace(code.format)))} codes; ${code.attemptsMax} wrong attempts at each`,
    `  ${most} guesses: by the hour ${byHour}, in a row ${inRow}, by mails ${byMails}`,
  ];
}

function odds(probability: number): string {
  return `1 in ${count(1 / probability)} (${probability.toExponential(1)})`;
}

function count(number: number): string {
  return Math.floor(number + 1e-6).toLocaleString("en-US");
}

function span(ms: number): string {
  for (const [unit, unitMs] of units) if (ms % unitMs === 0) return plural(ms / unitMs, unit);
  return plural(ms / 1_000, "second");
}

const units = [
  ["day", 86_400_000],
  ["hour", 3_600_000],
  ["minute", 60_000],
] as const;

function plural(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}
