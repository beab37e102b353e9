// Writes docs/configuration.md from the settings in src/config. With --check it only fails if that would change the page.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../", import.meta.url));
const page = `${root}docs/configuration.md`;

/** Another page of the documentation. */
const linkable = /docs\/([\w-]+\.md)/g;

const { subjects, describeDefault } = await importSettings();
const text = format(render());
if (process.argv[2] !== "--check") writeFileSync(page, text);
else if (readFileSync(page, "utf8") !== text) {
  console.error("docs/configuration.md is not up to date: run npm run generate");
  process.exitCode = 1;
}

/** Node 20 runs no TypeScript. The bundle lies in this folder, so that it finds the packages. */
async function importSettings() {
  const outfile = `${root}build/settings.mjs`;
  await build({
    stdin: {
      contents: `export * from "./settings.ts"; export * from "./setting.ts";`,
      resolveDir: `${root}src/config`,
    },
    outfile,
    bundle: true,
    packages: "external",
    platform: "node",
    format: "esm",
    logLevel: "error",
  });
  return import(outfile);
}

function format(markdown) {
  const args = ["--no-install", "biome", "format", "--stdin-file-path=docs/configuration.md"];
  return execFileSync("npx", args, { cwd: root, input: markdown, encoding: "utf8" });
}

function render() {
  const sections = Object.entries(subjects).map(
    ([title, settings]) => `## ${title}

| Setting | What it does | Default | Required by \`serve\` | Secret |
|---|---|---|---|---|
${Object.entries(settings).map(row).join("\n")}
`,
  );
  return `<!-- Generated from src/config by npm run generate. -->
# Configuration

Countersign is configured by environment variables.

- \`countersign serve\` refuses to start without the settings that it requires. A default marked "dev" applies to all other
  commands, \`countersign dev\` among them.
- An empty variable counts as unset.
- The value of a secret can be in a file: \`COUNTERSIGN_KEYS_FILE=/run/secrets/keys\` instead of \`COUNTERSIGN_KEYS=…\`.
- Durations are a number and a unit: \`90s\`, \`10m\`, \`1h\` or \`1d\`.
- All problems are reported at once. A message names the setting and never quotes its value.
- A variable that starts with \`COUNTERSIGN_\` and is not a setting is a problem too: it's probably misspelt. Those that Kubernetes
  sets for a service named \`countersign\` (\`COUNTERSIGN_SERVICE_HOST\` and the like) are ignored.

\`countersign doctor limits\` shows how likely a code is to be guessed under the limits that are set.

${sections.join("\n")}`;
}

function row([name, setting]) {
  const needed = setting.isNeeded ? "yes" : "";
  const secret = setting.isSecret ? "yes" : "";
  const cells = [`\`${name}\``, setting.help, describeDefault(setting), needed, secret];
  return `| ${cells.map((cell) => cell.replaceAll("|", "\\|").replace(linkable, "[$1]($1)")).join(" | ")} |`;
}
