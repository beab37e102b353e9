import { type Options, type Parsed, parseArguments } from "./arguments.ts";

/** A command of the command line. The help is made from it. */
export interface Command {
  /** One word, or two such as `outbox list`. */
  readonly name: string;
  /** The argument that it takes: `FILE`, `[FILE]` if it may be left out, or nothing. */
  readonly usage: string;
  readonly help: string;
  readonly options: Options;
  /**
   * @returns the exit code.
   * @throws UsageError if it can't be run with these arguments.
   */
  run(args: readonly string[]): Promise<number>;
}

/** Makes a command of a function that gets its arguments parsed. */
export function defineCommand<const O extends Options, const U extends string>(definition: {
  readonly name: string;
  readonly usage: U;
  readonly help: string;
  readonly options: O;
  readonly run: (parsed: Parsed<O, U>) => Promise<number>;
}): Command {
  return { ...definition, run: (args) => definition.run(parseArguments(args, definition)) };
}
