import { describeDefault, type Setting, toPlainText } from "../config/setting.ts";
import { subjects } from "../config/settings.ts";
import type { Options } from "./arguments.ts";
import type { Command } from "./command.ts";
import { commands, commandsOf } from "./find-command.ts";
import { formatEntry, wrap } from "./format-entry.ts";

/** The help of the command or group, such as `outbox`, that the command line names; else of the whole program. */
export function helpAbout(argv: readonly string[]): string {
  const words = argv.filter((word) => !["help", "--help", "-h"].includes(word));
  const asked = commandsOf(words);
  return asked.length > 0 ? asked.map(commandHelp).join("\n\n") : programHelp();
}

function commandHelp({ name, usage, help, options }: Command): string {
  const lines = optionLines(options, { indent: 2, column: 22 });
  const synopsis = ["Usage: countersign", name, usage, lines.length > 0 ? "[OPTIONS]" : ""]
    .filter(Boolean)
    .join(" ");
  return [synopsis, "", ...wrap(help), ...(lines.length > 0 ? ["", ...lines] : [])].join("\n");
}

function programHelp(): string {
  const lines = commands.flatMap(({ name, usage, help, options }) => [
    formatEntry(`${name} ${usage}`.trimEnd(), help, { column: 12 }),
    ...optionLines(options, { indent: 12, column: 32 }),
  ]);
  const settings = Object.entries(subjects).map(([title, group]) =>
    [`${title}:`, ...Object.entries(group).map(([name, setting]) => settingLine(name, setting)), ""].join(
      "\n",
    ),
  );
  return `Countersign verifies email addresses and logs users in, with one-time codes sent by email.

Usage: countersign COMMAND [OPTIONS]

${lines.join("\n")}
  --help    Print this help, or that of one command: countersign COMMAND --help.

Settings are environment variables:

${settings.join("\n")}
  * NAME_FILE may hold the path of a file with the value instead.`;
}

function optionLines(options: Options, layout: { indent: number; column: number }): string[] {
  return Object.entries(options).map(([name, { placeholder, help, default: value }]) => {
    const term = placeholder ? `--${name} ${placeholder}` : `--${name}`;
    return formatEntry(term, value === undefined ? help : `${help} [default: ${value}]`, layout);
  });
}

function settingLine(name: string, setting: Setting): string {
  const applies = describeDefault(setting);
  const notes = setting.isNeeded ? ["required by serve", applies] : [applies && `default: ${applies}`];
  const note = notes.filter(Boolean).join("; ");
  const text = toPlainText(note ? `${setting.help} [${note}]` : setting.help);
  return formatEntry(setting.isSecret ? `${name} *` : name, text, { column: 42 });
}
