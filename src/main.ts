#!/usr/bin/env node
import { parseArgs } from "node:util";
import { createApp } from "./app.ts";
import { openLocalIssuer } from "./auth/local-issuer.ts";
import type { Permission } from "./auth/principal.ts";
import { systemClock } from "./clock.ts";
import {
  ConfigError,
  parseDuration,
  readConfig,
  readDataConfig,
  readMailConfig,
  readPolicy,
} from "./config.ts";
import { copyBetween, describeCopy } from "./copy-command.ts";
import { backUp, restore } from "./db/backup.ts";
import { openStore } from "./db/open.ts";
import { startDev } from "./dev.ts";
import { describeLimits } from "./doctor.ts";
import { help } from "./help.ts";
import { type Sample, samples } from "./mail/templates/sample.ts";
import { previewMail, sendTestMail } from "./mail-command.ts";
import { makePrivateFolder } from "./private-file.ts";
import { type Language, languages } from "./texts/languages.ts";
import { parseEmailAddress } from "./user/email-address.ts";

/** A command line that cannot be run. The message says how to mend it. */
class UsageError extends Error {}

const commands: Record<string, (args: string[]) => Promise<void>> = {
  async dev(args) {
    parse(args, {});
    await runUntilSignal(await startDev(readConfig("dev")));
  },

  async serve(args) {
    parse(args, {});
    await runUntilSignal(await createApp(readConfig("serve")));
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
    if (positionals.join(" ") !== "limits")
      throw new UsageError("doctor must be told what to look at: doctor limits");
    console.log(describeLimits(readPolicy()));
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

/** Runs until SIGTERM or SIGINT, then drains. A second signal exits at once. */
async function runUntilSignal(app: AsyncDisposable): Promise<void> {
  await new Promise<void>((resolve) => {
    let stopping = false;
    const stop = () => {
      if (stopping) process.exit(1);
      stopping = true;
      resolve();
    };
    process.on("SIGTERM", stop);
    process.on("SIGINT", stop);
  });
  await app[Symbol.asyncDispose]();
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
    return 0;
  } catch (error) {
    if (error instanceof UsageError) {
      console.error(`${error.message}\nRun countersign --help for the commands.`);
      return 2;
    }
    console.error(error instanceof ConfigError ? error.message : String(error));
    return 1;
  }
}

process.exitCode = await main(process.argv.slice(2));
