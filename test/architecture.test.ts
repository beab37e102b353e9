import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const src = fileURLToPath(new URL("../src", import.meta.url));

/** What a folder may import from beside itself: folders and single files. The commands and the composition root import all. */
const allowed: Record<string, readonly string[]> = {
  db: [],
  texts: [],
  lib: ["db"],
  wire: [],
  http: ["lib"],
  events: ["db", "lib"],
  users: ["events", "db", "lib"],
  auth: ["lib"],
  mail: ["db", "lib", "otp/mail-status", "texts"],
  otp: ["users", "events", "mail", "db", "lib", "texts"],
  pages: ["otp", "auth", "http", "wire", "db", "lib", "texts"],
  api: ["otp", "users", "events", "auth", "lib", "texts"],
  operation: ["pages", "http", "db", "lib"],
  config: ["http/client-address", "otp", "mail", "auth", "db", "lib", "texts"],
};

interface Import {
  readonly from: string;
  readonly to: string;
}

const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));

const imports: Import[] = files.flatMap((from) => {
  const text = readFileSync(join(src, from), "utf8");
  return [...text.matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)].map(([, path = ""]) => ({
    from,
    to: relative(src, join(src, dirname(from), path)).replace(/\.ts$/, ""),
  }));
});

const topOf = (path: string) => path.split("/", 1)[0] ?? "";

describe("who imports whom", () => {
  it.each(Object.entries(allowed))("%s", (folder, others) => {
    const outside = imports.filter(
      ({ from, to }) => topOf(from) === folder && topOf(to) !== folder && !to.startsWith(".."),
    );
    const wrong = outside.filter(
      ({ to }) => !others.some((other) => to === other || to.startsWith(`${other}/`)),
    );
    expect(wrong).toEqual([]);
  });

  it("every folder has its rule, and nobody imports app but the commands", () => {
    const folders = new Set(files.filter((file) => file.includes("/")).map(topOf));
    expect([...folders].sort()).toEqual([...Object.keys(allowed), "app", "cli"].sort());
    const importers = imports.filter(({ to }) => topOf(to) === "app").map(({ from }) => topOf(from));
    expect([...new Set(importers)]).toEqual(["cli"]);
  });

  it("only api reads product messages, only app binds them, and only config reads the environment", () => {
    const products = imports.filter(({ to }) => to.startsWith("../gen/countersign/"));
    const others = new Set(products.map(({ from }) => from).filter((from) => topOf(from) !== "api"));
    expect([...others]).toEqual(["app/app.ts"]);
    const readers = files.filter((file) => /process\.env\b/.test(readFileSync(join(src, file), "utf8")));
    expect(readers).toEqual(["config/config.ts"]);
  });
});
