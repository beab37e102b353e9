import { readDataConfig, readPolicy } from "../../config/config.ts";
import { problemsOf } from "../../db/sqlite/integrity.ts";
import { dayMs, hourMs, minuteMs } from "../../lib/time.ts";
import { codeSpace } from "../../otp/codes/code.ts";
import {
  authenticatorGuessProbability,
  type CodePolicy,
  guessesPerDay,
  guessProbabilityMax,
  guessProbabilityPerDay,
  type Policy,
} from "../../otp/policy.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";

export const doctorLimits = defineCommand({
  name: "doctor limits",
  usage: "",
  help: "Print how likely one authenticator is to be guessed in a day under the limits that are set, and why.",
  options: {},
  async run() {
    console.log(describeLimits(readPolicy()));
    return exitCodes.ok;
  },
});

export const doctorDatabase = defineCommand({
  name: "doctor database",
  usage: "",
  help: "Check every page and index of the SQLite database. The server may run meanwhile. Exit code 65: it is damaged.",
  options: {},
  async run() {
    const problems = examineDatabase(readDataConfig().databaseUrl);
    console.log(problems.length === 0 ? "the database is whole" : problems.join("\n"));
    return problems.length === 0 ? exitCodes.ok : exitCodes.databaseRefused;
  },
});

function describeLimits(policy: Policy): string {
  const { attempts, mails } = policy;
  return [
    "How likely is one authenticator to be guessed in a day, at most?",
    "",
    ...describeCode(policy, "Login", policy.login),
    "",
    ...describeCode(policy, "Enrolment", policy.enrolment),
    "",
    `Both: ${odds(authenticatorGuessProbability(policy))}`,
    "  Both share one budget of wrong codes and of mails, so the code that is easier to guess decides.",
    "",
    `Above 1 in ${count(1 / guessProbabilityMax)} the service does not start. How the number of guesses is calculated:`,
    "",
    `  by the hour  ${attempts.perHourMax - 1} wrong codes in each of 24 hours lock nothing. The next one within an hour locks, first for`,
    `               ${span(attempts.lockMsMin)}, then twice as long each time, up to ${span(attempts.lockMsMax)}.`,
    `  in a row     The ${attempts.inRowMax}th wrong code in a row locks for ${span(attempts.lockMsMax)}, and so does each further one. The lower of these`,
    "               two limits applies.",
    "  by mails     A right code resets both. An attacker who guesses while the owner logs in needs a new code after a",
    `               few wrong attempts, and ${mails.perDayMax} codes are mailed per day. If your application has codes returned instead`,
    "               of mailed, it decides how many there are.",
  ].join("\n");
}

/**
 * Returns what is wrong with a SQLite database, a line each.
 *
 * @throws if there is no such database, or it isn't SQLite.
 */
function examineDatabase(databaseUrl: string): string[] {
  if (!databaseUrl.startsWith("sqlite:"))
    throw new Error("this command checks SQLite only: use the tools of PostgreSQL, such as pg_amcheck");
  return problemsOf(databaseUrl.slice("sqlite:".length));
}

function describeCode(policy: Policy, name: string, code: CodePolicy): string[] {
  const { alphabet, length } = code.format;
  const { byHour, inRow, byMails, limit } = guessesPerDay(policy, code);
  const probability = guessProbabilityPerDay(policy, code);
  return [
    `${name}: ${odds(probability)}`,
    `  ${length} ${alphabet === "digits" ? "digits" : "letters and digits"}: ${count(Number(codeSpace(code.format)))} codes; ${code.attemptsMax} wrong attempts at each`,
    `  ${limit} guesses: by the hour ${byHour}, in a row ${inRow}, by mails ${byMails}`,
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
  ["day", dayMs],
  ["hour", hourMs],
  ["minute", minuteMs],
] as const;

function plural(number: number, unit: string): string {
  return `${number} ${unit}${number === 1 ? "" : "s"}`;
}
