#!/usr/bin/env node
import { UsageError } from "./cli/arguments.ts";
import { exitCodeOf, exitCodes } from "./cli/exit-codes.ts";
import { findCommand } from "./cli/find-command.ts";
import { helpAbout } from "./cli/help.ts";
import { ConfigError } from "./config/config-error.ts";
import { DatabaseRefused } from "./db/core/storage-failure.ts";

process.exitCode = await main(process.argv.slice(2));

async function main(argv: string[]): Promise<number> {
  try {
    if (asksForHelp(argv)) {
      console.log(helpAbout(argv));
      return argv[0] ? exitCodes.ok : exitCodes.usage;
    }
    const { command, args } = findCommand(argv);
    return await command.run(args);
  } catch (error) {
    console.error(messageOf(error));
    return exitCodeOf(error, argv[0] ?? "");
  }
}

function asksForHelp([first = "", ...others]: readonly string[]): boolean {
  return ["", "help", "--help", "-h"].includes(first) || others.includes("--help") || others.includes("-h");
}

function messageOf(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\nRun countersign --help for the commands.`;
  if (error instanceof ConfigError) return `${error.message}\nRun countersign --help for the settings.`;
  return error instanceof DatabaseRefused ? error.message : String(error);
}
