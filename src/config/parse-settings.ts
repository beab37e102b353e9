import { readFileSync } from "node:fs";
import * as v from "valibot";

export type Environment = Readonly<Record<string, string | undefined>>;

/** Settings that may come from a file: NAME_FILE holds its path. */
const secrets = [
  "COUNTERSIGN_KEYS",
  "COUNTERSIGN_PROOF_KEYS",
  "COUNTERSIGN_SMTP_URL",
  "COUNTERSIGN_BOUNCE_WEBHOOK_SECRET",
  "COUNTERSIGN_SMTP_OAUTH_CLIENT_SECRET",
  "COUNTERSIGN_SMTP_OAUTH_REFRESH_TOKEN",
  "COUNTERSIGN_MAIL_WEBHOOK_SECRET",
  "COUNTERSIGN_DKIM_KEY",
  "COUNTERSIGN_DATABASE_URL",
  "COUNTERSIGN_TLS_KEY",
  "COUNTERSIGN_TLS_CERT",
];

/**
 * Reads settings from the environment, and from the files that it names. Those that are not valid are left out; `problems`
 * tells of each by its name, never by its value.
 */
export function parseSettings<const S extends v.ObjectSchema<v.ObjectEntries, undefined>>(
  schema: S,
  environment: Environment,
) {
  const problems: string[] = [];
  const input = withSecretFiles(environment, problems);
  const result = v.safeParse(schema, input);
  const settings = { ...(result.output as Partial<v.InferOutput<S>>) };
  for (const issue of result.issues ?? []) {
    const name = v.getDotPath(issue) as keyof typeof settings;
    problems.push(`${String(name)} ${issue.message}`);
    // What is not valid takes no part in what must go together.
    delete settings[name];
  }
  return { settings, problems };
}

/** Empty variables count as unset: that is what `docker run -e NAME=` and compose files leave behind. */
function withSecretFiles(environment: Environment, problems: string[]): Record<string, string> {
  const input: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) if (value) input[name] = value;
  for (const name of secrets) {
    const path = input[`${name}_FILE`];
    if (path === undefined) continue;
    if (input[name] !== undefined) {
      problems.push(`${name} and ${name}_FILE are both set: keep one`);
      continue;
    }
    try {
      input[name] = readFileSync(path, "utf8").trim();
    } catch {
      problems.push(`${name}_FILE names a file that cannot be read`);
    }
  }
  return input;
}
