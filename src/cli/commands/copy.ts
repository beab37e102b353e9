import cliProgress from "cli-progress";
import { openStore } from "../../db/store.ts";
import { type CopiedRows, copyDatabase } from "../../operation/transfer/copy.ts";
import { required } from "../arguments.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";

export const copy = defineCommand({
  name: "copy",
  usage: "",
  help:
    "Copy a database into another, SQLite or PostgreSQL, and compare the two. Run again, it copies only what has " +
    "changed since.",
  options: {
    from: {
      type: "string",
      placeholder: "URL",
      help: "Database to read, written like COUNTERSIGN_DATABASE_URL [required]",
    },
    to: { type: "string", placeholder: "URL", help: "Database to write [required]" },
  },
  async run({ values }) {
    const copied = await copyBetween(required("--from", values.from), required("--to", values.to));
    console.log(describeCopy(copied));
    return exitCodes.ok;
  },
});

/**
 * Makes the database at one URL the same as that at another. Shows a progress bar on a terminal.
 *
 * @throws if both are one database, can't be opened, or differ in the end.
 */
async function copyBetween(fromUrl: string, toUrl: string): Promise<CopiedRows[]> {
  if (fromUrl === toUrl) throw new Error("--from and --to are the same database");
  await using from = openStore(fromUrl);
  await using to = openStore(toUrl);
  // Both need the same tables.
  await from.migrate();
  await to.migrate();
  const bar = new cliProgress.SingleBar(
    { format: "{table} [{bar}] {value} of {total} rows", noTTYOutput: false, clearOnComplete: true },
    cliProgress.Presets.legacy,
  );
  let current: string | undefined;
  try {
    return await copyDatabase(from, to, {
      onProgress(table, done, all) {
        if (table !== current) bar.start(all, done, { table: table.padEnd(20) });
        current = table;
        bar.setTotal(all);
        bar.update(done, { table: table.padEnd(20) });
      },
    });
  } finally {
    bar.stop();
  }
}

function describeCopy(copied: readonly CopiedRows[]): string {
  const lines = copied.map(
    ({ table, rows, changed, checksum }) =>
      `${table.padEnd(20)} ${String(rows).padStart(10)} rows, ${changed} of them written, sha256 ${checksum.slice(0, 16)}`,
  );
  return [...lines, "both databases are the same"].join("\n");
}
