import cliProgress from "cli-progress";
import { openStore } from "../../db/store.ts";
import { type CopiedRows, copyDatabase } from "../../operation/transfer/copy.ts";

/**
 * Makes the database at one URL the same as that at another, with a progress bar where somebody looks.
 *
 * @throws if they are one, cannot be opened, or are not the same in the end.
 */
export async function copyBetween(fromUrl: string, toUrl: string): Promise<CopiedRows[]> {
  if (fromUrl === toUrl) throw new Error("--from and --to are the same database");
  await using from = openStore(fromUrl);
  await using to = openStore(toUrl);
  // What is copied and where to must have the same tables.
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

/** What was copied, a line for each table. */
export function describeCopy(copied: readonly CopiedRows[]): string {
  const lines = copied.map(
    ({ table, rows, changed, checksum }) =>
      `${table.padEnd(20)} ${String(rows).padStart(10)} rows, ${changed} of them written, sha256 ${checksum.slice(0, 16)}`,
  );
  return [...lines, "both databases are the same"].join("\n");
}
