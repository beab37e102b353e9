import { parseArgs } from "node:util";
import { parseDuration } from "../config/values.ts";

/** A command line that can't be run. The message says how to correct it. */
export class UsageError extends Error {}

export interface Option {
  readonly type: "string" | "boolean";
  readonly multiple?: boolean;
  readonly default?: string;
  /** Stands for the value in the help, such as FILE. */
  readonly placeholder?: string;
  readonly help: string;
}

/** Options by their long name, without the dashes. */
export type Options = Readonly<Record<string, Option>>;

type ParsedArguments<O extends Options> = ReturnType<
  typeof parseArgs<{ options: O; strict: true; allowPositionals: true }>
>;

/** What a command is run with: its options, and its argument if it takes one. */
export interface Parsed<O extends Options, U extends string> {
  readonly values: ParsedArguments<O>["values"];
  readonly argument: U extends "" ? undefined : U extends `[${string}` ? string | undefined : string;
}

interface Syntax<O extends Options, U extends string> {
  readonly name: string;
  readonly usage: U;
  readonly options: O;
}

/**
 * Parses the arguments of a command.
 *
 * @throws UsageError
 */
export function parseArguments<O extends Options, U extends string>(
  args: readonly string[],
  { name, usage, options }: Syntax<O, U>,
): Parsed<O, U> {
  const { values, positionals } = parseStrictly({
    args,
    options,
    strict: true,
    allowPositionals: usage !== "",
  });
  const [argument, ...others] = positionals;
  const isMissing = !argument && usage !== "" && !usage.startsWith("[");
  if (isMissing || others.length > 0) throw new UsageError(`usage: countersign ${name} ${usage}`);
  return { values, argument: argument as Parsed<O, U>["argument"] };
}

function parseStrictly<O extends Options>(config: {
  readonly args: readonly string[];
  readonly options: O;
  readonly strict: true;
  readonly allowPositionals: boolean;
}) {
  try {
    return parseArgs(config) as ParsedArguments<O>;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** @throws UsageError if the option is missing. */
export function required(option: string, value: string | undefined): string {
  if (value) return value;
  throw new UsageError(`${option} is missing`);
}

/** @throws UsageError if the value is none of these. */
export function oneOf<T extends string>(option: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((known) => known === value);
  if (found !== undefined) return found;
  throw new UsageError(`${option} must be one of ${allowed.join(", ")}`);
}

/** @throws UsageError if the value isn't a whole number from `min` to `max`. */
export function wholeNumber(option: string, value: string, min: number, max: number): number {
  const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
  if (number >= min && number <= max) return number;
  throw new UsageError(`${option} must be a whole number from ${min} to ${max}`);
}

/**
 * @returns milliseconds.
 * @throws UsageError if the value is not a duration, or zero.
 */
export function duration(option: string, value: string): number {
  const ms = parseDuration(value);
  if (ms) return ms;
  throw new UsageError(`${option} must be a duration such as 90s, 10m or 1h`);
}
