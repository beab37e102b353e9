// Makes src/mail/templates/layouts.gen.ts of templates/*.mjml and *.txt. With --check it only fails on a difference.
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import mjml2html from "mjml";

const folder = fileURLToPath(new URL("../templates/", import.meta.url));
const target = fileURLToPath(new URL("../src/mail/templates/layouts.gen.ts", import.meta.url));

const entries = await Promise.all(
  ["verification", "login", "notice"].map(async (purpose) => [
    purpose,
    {
      html: await compile(`${folder}${purpose}.mjml`),
      text: readFileSync(`${folder}${purpose}.txt`, "utf8"),
    },
  ]),
);
const made = `// Made of templates/ by npm run generate. Edit those.
export const layouts = ${JSON.stringify(Object.fromEntries(entries), null, 2)} as const;
`;

if (!process.argv.includes("--check")) writeFileSync(target, made);
else if (readFileSync(target, "utf8") !== made) {
  console.error("src/mail/templates/layouts.gen.ts is not up to date: run npm run generate");
  process.exitCode = 1;
}

async function compile(path) {
  const { html, errors } = await mjml2html(readFileSync(path, "utf8"), {
    filePath: path,
    ignoreIncludes: false,
    validationLevel: "strict",
    keepComments: false,
    // A mail loads nothing: without these no family is fetched by its name.
    fonts: {},
  });
  if (errors.length > 0) throw new Error(errors.map((error) => error.formattedMessage).join("\n"));
  // In a language that is written from the right, writing begins there.
  return html
    .replaceAll("text-align:left", "text-align:{{start}}")
    .replaceAll('align="left"', 'align="{{start}}"')
    .replaceAll("direction:ltr", "direction:{{dir}}")
    .replace(' xmlns="http://www.w3.org/1999/xhtml"', "")
    .replace(/^[ \t]+|[ \t]+$/gm, "")
    .replace(/\n{2,}/g, "\n");
}
