#!/usr/bin/env node
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { setFlagsFromString } from "node:v8";
import { type App, createApp } from "./app/app.ts";
import { openLocalIssuer } from "./auth/local-issuer.ts";
import type { Permission } from "./auth/principal.ts";
import { copyBetween, describeCopy } from "./cli/commands/copy.ts";
import { startDev } from "./cli/commands/dev.ts";
import { describeLimits, examineDatabase } from "./cli/commands/doctor.ts";
import { previewMail, sendTestMail } from "./cli/commands/mail.ts";
import {
  describeMails,
  mailStates,
  type RetryOutcome,
  retryAllFailed,
  retryOne,
} from "./cli/commands/outbox.ts";
import { describeSuppressions, releaseNamed, UnknownNameError } from "./cli/commands/suppression.ts";
import { help } from "./cli/help.ts";
import { openOperator } from "./cli/operator.ts";
import { ConfigError, readConfig, readDataConfig, readMailConfig, readPolicy } from "./config/config.ts";
import { parseDuration } from "./config/values.ts";
import { isId } from "./db/core/id.ts";
import { DatabaseRefused } from "./db/core/storage-failure.ts";
import { isFailure, isStorageUnavailable } from "./db/storage-errors.ts";
import { openStore } from "./db/store.ts";
import { systemClock } from "./lib/clock.ts";
import { parseEmailAddress } from "./lib/email-address.ts";
import { makePrivateFolder } from "./lib/private-file.ts";
import { type Sample, samples } from "./mail/templates/sample.ts";
import { backUp, restore } from "./operation/transfer/backup.ts";
import { type Language, languages } from "./texts/languages.ts";

/** A command line that cannot be run. The message says how to mend it. */
class UsageError extends Error {}

const commands: Record<string, (args: string[]) => Promise<void>> = {
  async dev(args) {
    parse(args, {});
    keepHeapSmall();
    const config = readConfig("dev");
    await runUntilSignal(() => startDev(config));
  },

  async serve(args) {
    parse(args, {});
    keepHeapSmall();
    const config = readConfig("serve");
    await runUntilSignal(() => createApp(config));
  },

  async migrate(args) {
    parse(args, {});
    const { dataDir, databaseUrl } = readDataConfig();
    makePrivateFolder(dataDir);
    await using store = openStore(databaseUrl);
    const ran = await store.migrate();
    console.log(ran.length === 0 ? "the database is up to date" : `ran ${ran.join(", ")}`);
  },

  async backup(args) {
    const file = requireFile(parse(args, {}, true).positionals, "backup");
    const bytes = await backUp(readDataConfig().databaseUrl, file);
    console.log(`${file} holds the database as it was now (${bytes} bytes)`);
  },

  async restore(args) {
    const file = requireFile(parse(args, {}, true).positionals, "restore");
    const { dataDir, databaseUrl } = readDataConfig();
    makePrivateFolder(dataDir);
    await restore(file, databaseUrl);
    console.log(`the database is as it was in ${file}. All codes and challenges of that time have ended`);
  },

  async copy(args) {
    const { values } = parse(args, { from: { type: "string" }, to: { type: "string" } });
    const { from, to } = values;
    if (!from || !to) throw new UsageError("copy must be told two databases: copy --from URL --to URL");
    console.log(describeCopy(await copyBetween(from, to)));
  },

  async doctor(args) {
    const { positionals } = parse(args, {}, true);
    const [what, ...others] = positionals;
    if (others.length > 0 || (what !== "limits" && what !== "database"))
      throw new UsageError("doctor must be told what to look at: doctor limits or doctor database");
    if (what === "limits") return console.log(describeLimits(readPolicy()));
    const problems = examineDatabase(readDataConfig().databaseUrl);
    if (problems.length === 0) return console.log("the database is whole");
    console.log(problems.join("\n"));
    process.exitCode = exitCodes.databaseRefused;
  },

  async mail(args) {
    const { values, positionals } = parse(
      args,
      {
        purpose: { type: "string" },
        language: { type: "string" },
        org: { type: "string" },
        out: { type: "string" },
        to: { type: "string" },
      },
      true,
    );
    const [what] = positionals;
    if (positionals.length !== 1 || (what !== "preview" && what !== "test"))
      throw new UsageError("mail must be told what to do: mail preview or mail test");
    const shown = {
      purpose: requireSample(values.purpose ?? "verification"),
      language: values.language === undefined ? undefined : requireLanguage(values.language),
      orgId: values.org ?? "",
    };
    if (what === "preview") {
      if (!values.out) throw new UsageError("--out is missing: give the file that the mail is written to");
      console.log(`wrote ${previewMail(readMailConfig(), shown, values.out).join(" and ")}`);
      return;
    }
    const to = requireAddress(values.to);
    const result = await sendTestMail(readMailConfig(), shown, to);
    if (result.kind !== "sent") throw new Error(`the relay did not take the mail: ${result.reason}`);
    console.log("sent");
  },

  async outbox(args) {
    const { values, positionals } = parse(
      args,
      {
        state: { type: "string" },
        org: { type: "string" },
        before: { type: "string" },
        limit: { type: "string" },
        addresses: { type: "boolean" },
        "all-failed": { type: "boolean" },
      },
      true,
    );
    const [action, mailId, ...more] = positionals;
    if (more.length > 0) throw new UsageError("outbox takes one mail at a time, or --all-failed");
    if (action === "list" && mailId === undefined) {
      const { org: orgId, before, addresses = false } = values;
      const options = { state: mailStateOf(values.state), orgId, addresses, limit: limitOf(values.limit) };
      await using operator = await openOperator();
      console.log(await describeMails(operator, { ...options, before: mailIdOf(before) }));
    } else if (action === "retry" && (mailId === undefined) === (values["all-failed"] ?? false)) {
      await using operator = await openOperator();
      const outcomes = mailId === undefined ? retryAllFailed(operator) : [retryOne(operator, mailId)];
      await printRetries(outcomes);
    } else {
      throw new UsageError("outbox must be told what to do: outbox list, outbox retry MAIL or --all-failed");
    }
  },

  async suppression(args) {
    const { values, positionals } = parse(
      args,
      { limit: { type: "string" }, skip: { type: "string" }, addresses: { type: "boolean" } },
      true,
    );
    const [action, name, ...more] = positionals;
    if (action === "list" && name === undefined) {
      const { addresses = false, skip = "0" } = values;
      const options = { addresses, limit: limitOf(values.limit), skip: skipOf(skip) };
      await using operator = await openOperator();
      console.log(await describeSuppressions(operator, options));
    } else if (action === "release" && name !== undefined && more.length === 0) {
      await using operator = await openOperator();
      const released = await releaseNamed(operator, name);
      console.log(released ? "mails go to this address again" : "the address is not suppressed");
    } else {
      throw new UsageError(
        "suppression must be told what to do: suppression list, or suppression release ADDRESS_OR_AUTHENTICATOR",
      );
    }
  },

  async bounce(args) {
    const { positionals } = parse(args, {}, true);
    if (positionals.length > 1) throw new UsageError("bounce takes one file, or standard input");
    // It alone reads whole messages, and a server need not hold what that takes: 11 MB, and 70 ms of its start.
    const { describeBounces, readBounces } = await import("./cli/commands/bounce.ts");
    await using operator = await openOperator();
    console.log(describeBounces(await readBounces(operator, positionals[0])));
  },

  async token(args) {
    const { values } = parse(args, {
      subject: { type: "string" },
      org: { type: "string" },
      permission: { type: "string", multiple: true },
      ttl: { type: "string" },
    });
    const { dataDir, audience } = readDataConfig();
    const issuer = await openLocalIssuer(dataDir);
    const claims = {
      subject: requireSubject(values.subject),
      audience,
      org: values.org,
      permissions: (values.permission ?? []).map(requirePermission),
      ttlMs: requireTtl(values.ttl ?? "1h"),
    };
    console.log(await issuer.issue(claims, systemClock));
  },
};

function parse<const O extends NonNullable<Parameters<typeof parseArgs>[0]>["options"]>(
  args: string[],
  options: O,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args, options, strict: true, allowPositionals });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

function requireFile(positionals: readonly string[], command: string): string {
  const [file, ...others] = positionals;
  if (file && others.length === 0) return file;
  throw new UsageError(`${command} must be told one file: ${command} FILE`);
}

function requireSample(purpose: string): Sample {
  const sample = samples.find((known) => known === purpose);
  if (!sample) throw new UsageError(`--purpose must be one of ${samples.join(", ")}`);
  return sample;
}

function requireLanguage(tag: string): Language {
  const language = languages.find((known) => known === tag);
  if (!language) throw new UsageError(`--language must be one of ${languages.join(", ")}`);
  return language;
}

function requireAddress(to: string | undefined): string {
  const parsed = parseEmailAddress(to ?? "");
  if (!parsed.ok) throw new UsageError("--to must be the address that the mail is sent to");
  return parsed.address.mailbox;
}

async function printRetries(outcomes: AsyncIterable<RetryOutcome> | Promise<RetryOutcome>[]): Promise<void> {
  let queued = 0;
  let others = 0;
  for await (const { line, isQueued } of outcomes) {
    console.log(line);
    if (isQueued) queued++;
    else others++;
  }
  if (queued + others === 0) console.log("there is no failed mail whose code may still live");
  if (others > 0) process.exitCode = 1;
}

function mailStateOf(state: string | undefined) {
  if (state === undefined) return undefined;
  const found = mailStates.find((known) => known === state);
  if (!found) throw new UsageError(`--state must be ${mailStates.join(", ")}`);
  return found;
}

function mailIdOf(mailId: string | undefined): string | undefined {
  if (mailId === undefined || isId(mailId)) return mailId;
  throw new UsageError("--before must be the id of a mail");
}

function limitOf(limit = "50"): number {
  if (/^[1-9]\d{0,3}$/.test(limit)) return Number(limit);
  throw new UsageError("--limit must be a number from 1 to 9999");
}

function skipOf(skip: string): number {
  if (/^\d{1,9}$/.test(skip)) return Number(skip);
  throw new UsageError("--skip must be a number");
}

function requireSubject(subject: string | undefined): string {
  if (!subject)
    throw new UsageError("--subject is missing: give the id of the user or service that the token is for");
  return subject;
}

function requirePermission(permission: string): Permission {
  if (permission === "user.read" || permission === "user.write" || permission === "otp.challenge")
    return permission;
  throw new UsageError("--permission must be user.read, user.write or otp.challenge");
}

function requireTtl(ttl: string): number {
  const ms = parseDuration(ttl);
  if (!ms) throw new UsageError("--ttl must be a duration such as 90s, 10m or 1h");
  return ms;
}

/**
 * Has V8 clean up when the heap has grown by a fifth since the last time. By default it waits until there is several times as
 * much: a server under load then held 246 MB and not 178, and was no faster (`npm run bench`, 64 calls at a time).
 */
function keepHeapSmall(): void {
  setFlagsFromString("--heap-growing-percent=20");
}

/**
 * Runs until SIGTERM or SIGINT, then drains. One that comes while it starts is heeded when it has started. A second signal exits at
 * once. So does a storage that fails.
 */
async function runUntilSignal(start: () => Promise<App>): Promise<void> {
  const stopped = new Promise<void>((resolve) => {
    let stopping = false;
    const stop = () => {
      if (stopping) process.exit(1);
      stopping = true;
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
  const app = await start();
  void app.storageFailed.then(async () => {
    await sleep(lastRepliesMs);
    // Without closing anything: that would write to the disk that failed.
    process.exit(exitCodes.storageFailed);
  });
  await stopped;
  await app[Symbol.asyncDispose]();
}

/** How long those who wait have to be told that the storage has failed. */
const lastRepliesMs = 250;

/** Of sysexits(3), for whoever starts us. */
const exitCodes = {
  /** EX_DATAERR: the database is damaged or not ours. To start again will not help. */
  databaseRefused: 65,
  /** EX_SOFTWARE: the disk failed, or the database turned out to be damaged. To start again may help. */
  storageFailed: 70,
  /** EX_TEMPFAIL: a mail server that pipes a notification to us keeps it and tries again. */
  tryAgainLater: 75,
};

/** @param command a mail server would return a notification to its sender on any other code than EX_TEMPFAIL. */
function exitCodeOf(error: unknown, command: string): number {
  const isRefused = error instanceof DatabaseRefused;
  if (command === "bounce" && isRefused) return exitCodes.tryAgainLater;
  if (isRefused) return exitCodes.databaseRefused;
  if (command !== "bounce" && isFailure(error)) return exitCodes.storageFailed;
  return isStorageUnavailable(error) ? exitCodes.tryAgainLater : 1;
}

async function main([name = "", ...args]: string[]): Promise<number> {
  if (name === "" || name === "help" || name === "--help" || name === "-h" || args.includes("--help")) {
    console.log(help);
    return name === "" ? 2 : 0;
  }
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  try {
    if (!command) throw new UsageError(`there is no command ${JSON.stringify(name)}`);
    await command(args);
    return Number(process.exitCode ?? 0);
  } catch (error) {
    if (error instanceof UsageError || error instanceof UnknownNameError) {
      console.error(`${error.message}\nRun countersign --help for the commands.`);
      return 2;
    }
    const isPlain = error instanceof ConfigError || error instanceof DatabaseRefused;
    console.error(isPlain ? error.message : String(error));
    return exitCodeOf(error, name);
  }
}

process.exitCode = await main(process.argv.slice(2));
