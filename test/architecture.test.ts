import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = join(root, "src");

/** What a room may import besides itself: rooms and single files. */
const allowed: Record<string, readonly string[]> = {
  lib: [],
  texts: [],
  wire: [],
  http: ["lib"],
  db: ["lib"],
  events: ["db", "lib"],
  users: ["events", "db", "lib"],
  auth: ["lib"],
  mail: ["db", "lib", "texts"],
  otp: ["users", "events", "mail", "db", "lib", "texts"],
  config: ["http/client-address", "otp", "mail", "auth", "db", "lib", "texts"],
  operation: ["db", "lib"],
  pages: ["otp", "auth", "http", "wire", "db", "lib", "texts"],
  api: ["otp", "users", "events", "auth", "wire", "db", "lib", "texts"],
  app: [
    "api",
    "pages",
    "operation",
    "config",
    "otp",
    "users",
    "events",
    "auth",
    "mail",
    "http",
    "wire",
    "db",
    "lib",
  ],
  cli: ["app", "operation", "config", "otp", "users", "events", "auth", "mail", "db", "lib", "texts"],
};

/** Which rooms write a table. Migrations, copies and backups write all of them. */
const writers: Record<string, readonly string[]> = {
  users: ["users", "events"],
  events: ["events", "users"],
  ended_trails: ["users"],
  otp_emails: ["otp"],
  challenges: ["otp", "users"],
  outbox: ["mail"],
  hits: ["otp"],
  removed_otp_emails: ["otp"],
  suppressions: ["otp"],
  idempotency_keys: ["db"],
};

const writesAllTables = ["db/migrations/", "operation/transfer/"];

const filesMax = 16;

/** Folders in which a file is one language, one migration or one picture: their number grows with the product. */
const collections = ["src/texts", "src/db/migrations", "test/support"];

interface Import {
  readonly from: string;
  readonly to: string;
}

const files = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
const textOf = new Map(files.map((file) => [file, readFileSync(join(src, file), "utf8")]));

const imports: Import[] = files.flatMap((from) =>
  [...textOf.get(from)!.matchAll(/(?:from|import\() ?"(\.[^"]+)"/g)].map(([, path = ""]) => ({
    from,
    to: relative(src, join(src, dirname(from), path)),
  })),
);

const roomOf = (path: string) => path.split("/", 1)[0] ?? "";

describe("the rooms", () => {
  it.each(Object.entries(allowed))("%s imports only what its row allows", (room, others) => {
    const outside = imports.filter(
      ({ from, to }) => roomOf(from) === room && roomOf(to) !== room && !to.startsWith(".."),
    );
    const wrong = outside.filter(
      ({ to }) => !others.some((other) => to === `${other}.ts` || to.startsWith(`${other}/`)),
    );
    expect(wrong).toEqual([]);
  });

  it("are all in the table, and src itself holds main.ts alone", () => {
    const rooms = new Set(files.filter((file) => file.includes("/")).map(roomOf));
    expect([...rooms].sort()).toEqual(Object.keys(allowed).sort());
    expect(files.filter((file) => !file.includes("/"))).toEqual(["main.ts"]);
  });

  it("have no circle of files", () => {
    expect(circleIn(imports)).toBeUndefined();
  });

  it("leave product messages to api, and their binding to app", () => {
    const products = imports.filter(({ to }) => to.startsWith("../gen/countersign/"));
    const others = new Set(products.map(({ from }) => from).filter((from) => roomOf(from) !== "api"));
    expect([...others]).toEqual(["app/api.ts"]);
  });

  it("leave Connect to api and wire, and the environment to config", () => {
    const users = (pattern: RegExp) => files.filter((file) => pattern.test(textOf.get(file)!));
    const connect = new Set(users(/from "@connectrpc\/connect"/).map(roomOf));
    expect([...connect].sort()).toEqual(["api", "http", "pages", "wire"]);
    expect(users(/process\.env\b/).map(roomOf)).toEqual(["config"]);
  });
});

describe("a table", () => {
  const tables = Object.keys(writers);

  it.each(tables)("%s is written by the rooms of its row alone", (table) => {
    const rooms = new Set(
      files
        .filter((file) => !writesAllTables.some((folder) => file.startsWith(folder)))
        .filter((file) => writtenIn(textOf.get(file)!).has(table))
        .map(roomOf),
    );
    expect([...rooms].sort()).toEqual([...writers[table]!].sort());
  });

  it("is in the list, if the code writes it", () => {
    const sources = files.filter((file) => !file.startsWith("db/migrations/"));
    const written = new Set(sources.flatMap((file) => [...writtenIn(textOf.get(file)!)]));
    expect([...written].filter((table) => !tables.includes(table))).toEqual([]);
  });
});

describe("a folder", () => {
  it.each(["src", "test", "bench"])(`of %s has at most ${filesMax} files`, (folder) => {
    expect(crowdedIn(folder)).toEqual([]);
  });
});

/** The tables that a source inserts into, updates or deletes from: by Kysely, or in SQL. */
function writtenIn(text: string): Set<string> {
  const kysely = text.matchAll(/\.(?:insertInto|updateTable|deleteFrom|replaceInto)\(\s*"(\w+)/g);
  const sql = text.matchAll(/\b(?:insert into|delete from|update) (\w+)(?= (?:set|where|\()|;|`|$)/gm);
  return new Set([...kysely, ...sql].map(([, table = ""]) => table));
}

/** A circle of imports, as the list of its files. */
function circleIn(imports: readonly Import[]): string[] | undefined {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  function visit(file: string, path: readonly string[]): string[] | undefined {
    const start = path.indexOf(file);
    if (start >= 0) return [...path.slice(start), file];
    if (done.has(file)) return undefined;
    for (const to of next.get(file) ?? []) {
      const circle = visit(to, [...path, file]);
      if (circle) return circle;
    }
    done.add(file);
    return undefined;
  }
  for (const file of next.keys()) {
    const circle = visit(file, []);
    if (circle) return circle;
  }
  return undefined;
}

function crowdedIn(folder: string): string[] {
  if (collections.some((path) => folder === path || folder.startsWith(`${path}/`))) return [];
  const entries = readdirSync(join(root, folder)).filter((name) => !["node_modules", "dist"].includes(name));
  const isFolder = (name: string) => statSync(join(root, folder, name)).isDirectory();
  const count = entries.filter((name) => !isFolder(name)).length;
  const below = entries.filter(isFolder).flatMap((name) => crowdedIn(`${folder}/${name}`));
  return count > filesMax ? [`${folder} (${count})`, ...below] : below;
}
