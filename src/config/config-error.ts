/** Settings that are missing, invalid or unsafe. `problems` names each setting and quotes no value. */
export class ConfigError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`some settings are missing, invalid or unsafe:\n${problems.map((p) => `  ${p}`).join("\n")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}
