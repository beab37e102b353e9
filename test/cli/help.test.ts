import { describe, expect, it } from "vitest";
import { commands, findCommand } from "../../src/cli/find-command.ts";
import { formatEntry } from "../../src/cli/format-entry.ts";
import { helpAbout } from "../../src/cli/help.ts";
import { settingNames } from "../support/setting-names.ts";

describe("countersign --help", () => {
  it("lists every command with its options, and every setting", () => {
    const help = helpAbout(["--help"]);
    for (const { name, options } of commands) {
      expect(help).toMatch(new RegExp(`^ {2}${name}\\b`, "m"));
      for (const option of Object.keys(options)) expect(help).toMatch(new RegExp(`^ {12}--${option} `, "m"));
    }
    for (const name of settingNames()) expect(help).toMatch(new RegExp(`^ {2}${name} `, "m"));
  });

  it("fits into 110 columns, and shows no markup", () => {
    const help = helpAbout(["--help"]);
    for (const line of help.split("\n")) expect(line.length, line).toBeLessThanOrEqual(110);
    expect(help).not.toContain("`");
  });
});

describe("countersign COMMAND --help", () => {
  it.each(commands.map((command) => [command.name, command] as const))(
    "describes %s alone",
    (name, command) => {
      const help = helpAbout([...name.split(" "), "--help"]);
      expect(help.replace(/\s+/g, " ")).toContain(command.help);
      expect(help.match(/^Usage: .*$/gm)).toEqual([
        expect.stringMatching(`^Usage: countersign ${name}( |$)`),
      ]);
      for (const option of Object.keys(command.options)) expect(help).toContain(`--${option}`);
      expect(help).not.toContain("COUNTERSIGN_LISTEN");
    },
  );

  it("describes all commands of a group", () => {
    const help = helpAbout(["outbox", "-h"]);
    expect(help.match(/^Usage: .*$/gm)).toEqual([
      "Usage: countersign outbox list [OPTIONS]",
      "Usage: countersign outbox retry [MAIL] [OPTIONS]",
    ]);
  });

  it("falls back to the help of the program", () => {
    expect(helpAbout(["explode", "--help"])).toBe(helpAbout(["--help"]));
  });
});

describe("findCommand", () => {
  it.each(commands.map(({ name }) => name))("finds %s under its own name", (name) => {
    const { command, args } = findCommand([...name.split(" "), "--some", "argument"]);
    expect({ name: command.name, args }).toEqual({ name, args: ["--some", "argument"] });
  });

  it.each([
    [["explode"], /^there is no command "explode"$/],
    [["outbox"], /^there is no command "outbox": use outbox list or outbox retry$/],
    [["outbox", "purge"], /^there is no command "outbox purge": use outbox list or outbox retry$/],
    [["toString"], /^there is no command "toString"$/],
  ])("refuses %j", (argv, message) => {
    expect(() => findCommand(argv)).toThrow(message);
  });
});

describe("formatEntry", () => {
  it("puts the text beside a short term and below a long one", () => {
    expect(formatEntry("serve", "Start.", { column: 12 })).toBe("  serve     Start.");
    expect(formatEntry("backup FILE", "Copy.", { column: 12 })).toBe("  backup FILE\n            Copy.");
  });

  it("wraps text between words", () => {
    const lines = formatEntry("a", "word ".repeat(40).trim(), { column: 60 }).split("\n");
    expect(lines.map((line) => line.length)).toEqual([109, 109, 109, 109]);
    expect(lines[1]).toMatch(/^ {60}word/);
  });
});
