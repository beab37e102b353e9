import { readFileSync } from "node:fs";
import * as v from "valibot";
import { ConfigError } from "./config-error.ts";
import { type CrossCheck, type Setting, type Settings, toPlainText, type Values } from "./setting.ts";
import { unknownSettings } from "./unknown-settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

/** `dev` has a default for each setting that `serve` needs, and so have all other commands. */
export type Mode = "dev" | "serve";

/**
 * Reads settings from the environment, and secrets also from the files named there. An empty variable counts as unset: that's
 * what `docker run -e NAME=` and Compose files leave behind.
 *
 * @throws ConfigError with all problems at once, also of variables that look like a setting and are none.
 */
export function readSettings<const S extends Settings>(
  settings: S,
  environment: Environment,
  { mode = "dev", crossChecks = [] }: { mode?: Mode; crossChecks?: readonly CrossCheck<S>[] } = {},
): Values<S> {
  const problems = unknownSettings(environment);
  const valid: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(settings)) {
    const result = readSetting(name, setting, environment, mode);
    if ("value" in result) valid[name] = result.value;
    else problems.push(...result.problems);
  }
  const given = {
    valid: valid as Partial<Values<S>>,
    isSet: (name: string) =>
      Boolean(environment[name] || (settings[name]?.isSecret && environment[`${name}_FILE`])),
  };
  for (const check of crossChecks) problems.push(...check(given));
  if (problems.length > 0) throw new ConfigError(problems);
  return valid as Values<S>;
}

type Result = { readonly value: unknown } | { readonly problems: readonly string[] };

function readSetting(name: string, setting: Setting, environment: Environment, mode: Mode): Result {
  const file = setting.isSecret ? environment[`${name}_FILE`] : undefined;
  let text = environment[name];
  if (text && file) return { problems: [`${name} and ${name}_FILE are both set: keep one`] };
  if (file) {
    try {
      text = readFileSync(file, "utf8").trim();
    } catch {
      return { problems: [`${name}_FILE names a file that cannot be read`] };
    }
  } else if (!text) {
    text = mode === "dev" ? (setting.devDefault ?? setting.default) : setting.default;
    if (text === undefined) {
      const isMissing = mode === "serve" && setting.isNeeded;
      return isMissing
        ? { problems: [`${name} is missing. ${toPlainText(setting.help)}.`] }
        : { value: undefined };
    }
  }
  const { success, output, issues } = v.safeParse(setting.check, text);
  return success ? { value: output } : { problems: issues.map(({ message }) => `${name} ${message}`) };
}
