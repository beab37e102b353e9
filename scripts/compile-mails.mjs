// Generates src/mail/templates/layouts.gen.ts from templates/*.mjml and *.txt. With --check, only fails if it is outdated. With
// two names, compiles a custom layout: node scripts/compile-mails.mjs FROM.mjml TO.html
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import mjml2html from "mjml";

const folder = fileURLToPath(new URL("../templates/", import.meta.url));
const target = fileURLToPath(new URL("../src/mail/templates/layouts.gen.ts", import.meta.url));

const [first, second] = process.argv.slice(2);
if (first === "--check") {
  if (readFileSync(target, "utf8") !== (await makeLayouts())) {
    console.error("src/mail/templates/layouts.gen.ts is outdated: run npm run generate");
    process.exitCode = 1;
  }
} else if (first && second) writeFileSync(second, await compile(first));
else writeFileSync(target, await makeLayouts());

async function makeLayouts() {
  const entries = await Promise.all(
    ["verification", "login", "notice"].map(async (purpose) => [
      purpose,
      {
        html: await compile(`${folder}${purpose}.mjml`),
        text: readFileSync(`${folder}${purpose}.txt`, "utf8"),
      },
    ]),
  );
  return `// Generated from templates/ by npm run generate. Do not edit.
export const layouts = ${JSON.stringify(Object.fromEntries(entries), null, 2)} as const;
`;
}

async function compile(path) {
  const { html, errors } = await mjml2html(readFileSync(path, "utf8"), {
    filePath: path,
    ignoreIncludes: false,
    validationLevel: "strict",
    keepComments: false,
    // By default MJML loads web fonts for known families. Mails must not load anything.
    fonts: {},
  });
  if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
  // Makes alignment depend on the direction of the language.
  return html
    .replaceAll("text-align:left", "text-align:{{start}}")
    .replaceAll('align="left"', 'align="{{start}}"')
    .replaceAll("direction:ltr", "direction:{{dir}}")
    .replace(' xmlns="http://www.w3.org/1999/xhtml"', "")
    .replace(/^[ \t]+|[ \t]+$/gm, "")
    .replace(/\n{2,}/g, "\n");
}
