import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const src = fileURLToPath(new URL("../../src/config", import.meta.url));

/** The names of all settings in src/config. */
export function settingNames(): Set<string> {
  const files = readdirSync(src);
  const text = files.map((name) => readFileSync(join(src, name), "utf8")).join();
  return new Set(text.match(/COUNTERSIGN_[A-Z]+(?:_[A-Z]+)*/g));
}
