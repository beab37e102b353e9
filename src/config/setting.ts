import * as v from "valibot";

/** An environment variable that configures the service. Stated once: help, documentation and types come from it. */
export interface Setting {
  /** Turns the text of the variable into its value. Its messages never quote the text, which may be a secret. */
  readonly check: v.GenericSchema<string, unknown>;
  /** What it does and how it is written: a phrase without a full stop, with values between backticks. */
  readonly help: string;
  /** Used where the variable is not set; written as an operator would write it. */
  readonly default?: string;
  /** Like `default`, for every command but `serve`. */
  readonly devDefault?: string;
  /** What happens where it is neither set nor has a default: a phrase like `help`. */
  readonly unset?: string;
  /** Whether `serve` refuses to start without it. */
  readonly isNeeded?: true;
  /** Whether the value may come from a file instead: NAME_FILE holds its path. */
  readonly isSecret?: true;
}

/** Settings by the name of their variable. */
export type Settings = Readonly<Record<string, Setting>>;

type Defaulted = { readonly default: string } | { readonly devDefault: string; readonly isNeeded: true };

/** The values of settings. Undefined only where a setting has no default. */
export type Values<S extends Settings> = {
  readonly [N in keyof S]: S[N] extends Defaulted
    ? v.InferOutput<S[N]["check"]>
    : v.InferOutput<S[N]["check"]> | undefined;
};

/** What applies where a setting is not set, such as "`127.0.0.1:8080`" or "none; dev: `*`". Empty if nothing is worth saying. */
export function describeDefault({ default: value, devDefault, unset, isNeeded }: Setting): string {
  const always = value ? `\`${value}\`` : (unset ?? (value === "" ? "none" : ""));
  const underDev = devDefault === undefined ? "" : `dev: \`${devDefault}\``;
  // Where `serve` needs it, what applies without it applies under `dev` alone.
  if (isNeeded) return underDev || `dev: ${always}`;
  return [always, underDev].filter(Boolean).join("; ");
}

/** Help for a terminal: without backticks. */
export function toPlainText(help: string): string {
  return help.replaceAll("`", "");
}

/** The values of settings that all have a default, where none is set. */
export function defaultsOf<S extends Readonly<Record<string, Setting & { readonly default: string }>>>(
  settings: S,
): Values<S> {
  const values = Object.entries(settings).map(([name, setting]) => [
    name,
    v.parse(setting.check, setting.default),
  ]);
  return Object.fromEntries(values);
}

/** What a check across several settings can look at. */
export interface Given<S extends Settings> {
  /** The values that are valid, defaults included. Invalid settings are left out. */
  readonly valid: Partial<Values<S>>;
  /** Whether the environment sets it, be it valid or not. */
  isSet(name: keyof S & string): boolean;
}

/** Checks across settings. Returns one message for each problem; it names the settings and never quotes a value. */
export type CrossCheck<S extends Settings> = (given: Given<S>) => string[];

/** Reports the settings that are missing while others of the same set are there. */
export function incomplete<N extends string>(names: readonly N[], isSet: (name: N) => boolean): string[] {
  const missing = names.filter((name) => !isSet(name));
  if (missing.length === names.length) return [];
  return missing.map((name) => `${name} is missing: ${names.join(", ")} go together`);
}
