import { UsageError } from "./arguments.ts";
import type { Command } from "./command.ts";
import { backup } from "./commands/backup.ts";
import { bounce } from "./commands/bounce.ts";
import { copy } from "./commands/copy.ts";
import { dev } from "./commands/dev.ts";
import { doctorDatabase, doctorLimits } from "./commands/doctor.ts";
import { mailPreview, mailTest } from "./commands/mail.ts";
import { migrate } from "./commands/migrate.ts";
import { outboxList, outboxRetry } from "./commands/outbox.ts";
import { restore } from "./commands/restore.ts";
import { serve } from "./commands/serve.ts";
import { suppressionList, suppressionRelease } from "./commands/suppression.ts";
import { token } from "./commands/token.ts";

/** All commands, in the order of the help. */
export const commands: readonly Command[] = [
  dev,
  serve,
  migrate,
  backup,
  restore,
  copy,
  doctorLimits,
  doctorDatabase,
  mailPreview,
  mailTest,
  outboxList,
  outboxRetry,
  bounce,
  suppressionList,
  suppressionRelease,
  token,
];

/**
 * Finds the command that a command line starts with.
 *
 * @throws UsageError if there is none.
 */
export function findCommand(argv: readonly string[]): {
  readonly command: Command;
  readonly args: readonly string[];
} {
  const command = commandIn(argv);
  if (command) return { command, args: argv.slice(command.name.split(" ").length) };
  const group = groupOf(argv).map(({ name }) => name);
  const words = argv.slice(0, group.length > 0 ? 2 : 1).join(" ");
  const hint = group.length > 0 ? `: use ${group.join(" or ")}` : "";
  throw new UsageError(`there is no command ${JSON.stringify(words)}${hint}`);
}

/** The command that a command line starts with, or all of a group such as `outbox`. Empty if there is neither. */
export function commandsOf(argv: readonly string[]): readonly Command[] {
  const command = commandIn(argv);
  return command ? [command] : groupOf(argv);
}

function commandIn(argv: readonly string[]): Command | undefined {
  return commands.find(({ name }) => name.split(" ").every((word, index) => argv[index] === word));
}

function groupOf([first]: readonly string[]): Command[] {
  return commands.filter(({ name }) => name.startsWith(`${first} `));
}
