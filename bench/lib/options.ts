import { type ParseArgsConfig, parseArgs } from "node:util";

/** The values of options: flags are booleans, options with a default are always there. */
type Values<Defaults> = {
  readonly [Name in keyof Defaults]: Defaults[Name] extends boolean
    ? boolean
    : Defaults[Name] extends string
      ? string
      : string | undefined;
};

/**
 * Reads the options of the command line and hands them to `convert`. Prints `usage` and exits with 0 on `--help`; prints the
 * problem and exits with 2 if an option is unknown or `convert` throws.
 *
 * @param defaults each option with its default: `false` makes it a flag, `undefined` leaves it out.
 */
export function readOptions<Defaults extends Readonly<Record<string, string | false | undefined>>, Options>(
  usage: string,
  defaults: Defaults,
  convert: (values: Values<Defaults>) => Options,
): Options {
  const options: NonNullable<ParseArgsConfig["options"]> = { help: { type: "boolean" } };
  for (const [name, value] of Object.entries(defaults))
    options[name] =
      value === false ? { type: "boolean", default: value } : { type: "string", default: value };
  try {
    const values: Readonly<Record<string, unknown>> = parseArgs({ options }).values;
    if (!values.help) return convert(values as Values<Defaults>);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
  process.stdout.write(usage);
  process.exit(0);
}

/** @throws unless the text is an integer of at least 1. */
export function wholeNumber(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new Error(`--${option} must be a whole number of at least 1`);
}

/** @throws unless the text is a number above 0. */
export function positiveNumber(option: string, text: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new Error(`--${option} must be a number above 0`);
}
