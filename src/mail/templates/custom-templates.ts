import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { type Language, languages } from "../../texts/languages.ts";
import {
  builtInTemplate,
  builtInTexts,
  type MailTemplate,
  type MailTemplates,
  type Purpose,
  purposes,
} from "./mail-templates.ts";
import { parseTemplate, type Template, TemplateError } from "./template.ts";

/**
 * Reads the templates of a folder:
 *
 * - `PURPOSE.LANGUAGE.json`: texts by key, which override the built-in ones of that language
 * - `PURPOSE.html` and `PURPOSE.txt`: layouts of the two parts
 * - `ORGANIZATION/…`: the same for one organization; the name is percent-encoded where a file name requires it
 *
 * The folder itself provides what an organization doesn't override, and the built-in templates the rest. `*.mjml`, `*.md` and
 * names that begin with a dot are ignored.
 *
 * @throws Error that lists every problem with its file.
 */
export function readCustomTemplates(folder: string): MailTemplates {
  const problems: string[] = [];
  const common = readSet(folder, "", problems);
  const organizations = new Map<string, TemplateSet>();
  for (const name of common.folders) {
    const orgId = decode(name);
    if (orgId === undefined) problems.push(`${name}: the name is not valid percent-encoding`);
    else organizations.set(orgId, readSet(folder, name, problems));
  }
  if (problems.length > 0) {
    const list = problems.sort().map((problem) => `  ${problem}`);
    throw new Error(`the templates in COUNTERSIGN_TEMPLATES_DIR cannot be used:\n${list.join("\n")}`);
  }
  const finished = new Map<string, MailTemplate>();
  return (purpose, language, orgId) => {
    // Organizations without a folder share cache entries, because their number is unbounded.
    const custom = organizations.get(orgId);
    const key = JSON.stringify([purpose, language, custom && orgId]);
    const template =
      finished.get(key) ??
      override(custom, override(common, builtInTemplate(purpose, language), purpose), purpose);
    finished.set(key, template);
    return template;
  };
}

/** Content of a folder, by file name. */
interface TemplateSet {
  readonly layouts: Map<string, Template>;
  readonly texts: Map<string, Record<string, Template>>;
  readonly folders: readonly string[];
}

function override(set: TemplateSet | undefined, template: MailTemplate, purpose: Purpose): MailTemplate {
  if (!set) return template;
  return {
    language: template.language,
    texts: { ...template.texts, ...set.texts.get(`${purpose}.${template.language}.json`) },
    html: set.layouts.get(`${purpose}.html`) ?? template.html,
    text: set.layouts.get(`${purpose}.txt`) ?? template.text,
  };
}

function readSet(folder: string, within: string, problems: string[]): TemplateSet {
  const set = { layouts: new Map(), texts: new Map(), folders: [] as string[] };
  for (const name of namesIn(join(folder, within), within, problems)) {
    const path = join(within, name);
    try {
      if (isFolder(join(folder, path))) {
        if (within !== "")
          throw new TemplateError("is a folder inside an organization's folder: move its files up");
        set.folders.push(name);
        continue;
      }
      if (/\.(mjml|md)$/.test(name)) continue;
      const { purpose, language, ending } = meaningOf(name);
      const source = readText(join(folder, path));
      if (ending === "json") set.texts.set(name, parseTexts(source, purpose, language));
      else set.layouts.set(name, parseLayout(source, purpose, ending));
    } catch (error) {
      if (!(error instanceof TemplateError)) throw error;
      problems.push(`${path}: ${error.message}`);
    }
  }
  return set;
}

function namesIn(path: string, within: string, problems: string[]): string[] {
  try {
    return readdirSync(path).filter((name) => !name.startsWith("."));
  } catch {
    problems.push(`${within || path}: cannot be read: it must be a folder that this program can read`);
    return [];
  }
}

// Follows symbolic links, because Kubernetes mounts volumes with them.
function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function readText(path: string): string {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    throw new TemplateError("cannot be read: allow this program to read it");
  }
  if (bytes.length > bytesMax) {
    throw new TemplateError(`is longer than ${bytesMax} bytes: mailboxes truncate larger mails`);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new TemplateError("is not UTF-8: save it as such");
  }
}

/** Gmail shows no more than 102 kB of a mail. */
const bytesMax = 100_000;

type Meaning =
  | { readonly purpose: Purpose; readonly ending: "html" | "txt"; readonly language: undefined }
  | { readonly purpose: Purpose; readonly ending: "json"; readonly language: Language };

function meaningOf(name: string): Meaning {
  const [first, ...rest] = name.split(".");
  const purpose = purposes.find((known) => known === first);
  if (!purpose)
    throw new TemplateError(`is not for a known mail: the name must begin with ${purposes.join(", ")}`);
  const [second, third] = rest;
  if (rest.length === 1 && (second === "html" || second === "txt"))
    return { purpose, ending: second, language: undefined };
  const language = languages.find((known) => known === second);
  if (rest.length === 2 && language && third === "json") return { purpose, ending: "json", language };
  throw new TemplateError(
    `has an unknown name: use ${purpose}.html, ${purpose}.txt or ${purpose}.LANGUAGE.json, with one of ${languages.join(", ")}`,
  );
}

function parseTexts(
  source: string,
  purpose: Purpose,
  language: Language | undefined,
): Record<string, Template> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(source);
  } catch {
    throw new TemplateError("is not JSON");
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed))
    throw new TemplateError("must be a JSON object of texts by their keys");
  const keys = Object.keys(builtInTexts(purpose, language ?? "en"));
  return Object.fromEntries(
    Object.entries(parsed).map(([key, text]) => {
      if (!keys.includes(key)) throw new TemplateError(`has an unknown key ${key}: use ${keys.join(", ")}`);
      if (typeof text !== "string" || text.trim() === "")
        throw new TemplateError(`${key} must be a non-empty text`);
      const template = parseTemplate(text);
      rejectUnknown(template, textVariables[purpose], key);
      return [key, template];
    }),
  );
}

/** Variables of texts. The code is not one of them: it belongs to the layout. */
const textVariables: Readonly<Record<Purpose, readonly string[]>> = {
  verification: ["service", "duration"],
  login: ["service", "duration"],
  notice: ["service", "time", "client"],
};

/** Variables that a layout must have. */
const neededVariables: Readonly<Record<Purpose, readonly string[]>> = {
  verification: ["code", "link"],
  login: ["code", "link", "reportLink"],
  notice: ["happened", "happenedWhen"],
};

const pageVariables = ["lang", "dir", "start"];

function parseLayout(source: string, purpose: Purpose, ending: "html" | "txt"): Template {
  const template = parseTemplate(source);
  const needed = neededVariables[purpose];
  rejectUnknown(template, [
    ...needed,
    ...Object.keys(builtInTexts(purpose, "en")),
    ...textVariables[purpose],
    ...(ending === "html" ? pageVariables : []),
  ]);
  const missing = needed.filter((name) => !template.variables.includes(name));
  if (missing.length > 0)
    throw new TemplateError(`lacks ${missing.map((name) => `{{${name}}}`).join(" and ")}: put it in`);
  if (ending === "html") rejectUnsafe(source);
  return template;
}

function rejectUnknown({ variables }: Template, known: readonly string[], where?: string): void {
  const unknown = variables.find((name) => !known.includes(name));
  if (unknown === undefined) return;
  const all = known.map((name) => `{{${name}}}`).join(", ");
  throw new TemplateError(`${where ? `${where} ` : ""}has an unknown variable {{${unknown}}}: use ${all}`);
}

/** Rejects variables outside of texts and quoted attributes, where escaping doesn't make them safe. */
function rejectUnsafe(source: string): void {
  if (/<script/i.test(source))
    throw new TemplateError("has a <script>, which no mail program runs: remove it");
  if (/=\s*[^\s"'>]*\{\{/.test(source.replace(/"[^"]*"|'[^']*'/g, '""')))
    throw new TemplateError("has a variable in an attribute without quotes: put quotes around it");
  if (/<style[^>]*>[^<]*\{\{/i.test(source))
    throw new TemplateError("has a variable in a <style>: move it out");
}

function decode(name: string): string | undefined {
  try {
    return decodeURIComponent(name);
  } catch {
    return undefined;
  }
}
