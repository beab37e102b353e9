import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeDatabase } from "../lib/database.ts";
import { readOptions, wholeNumber } from "../lib/options.ts";
import { median } from "../lib/ratios.ts";
import { openRows } from "../lib/rows.ts";
import { table } from "../lib/table.ts";
import { adderCount, addressOf, userIdOf } from "../lib/workload.ts";

const usage = `npm run indexes -w bench -- [options]

Measures what each index costs a mailed AddOTPEmail on SQLite.

  --rounds N  runs with and without each index (9)
  --calls N   calls of each run (6400)
`;

const { rounds, calls } = readOptions(usage, { rounds: "9", calls: "6400" }, (values) => ({
  rounds: wholeNumber("rounds", values.rounds),
  calls: wholeNumber("calls", values.calls),
}));
const callsPerCommit = 64;

/** A copy of the database. All but one lack an index. */
interface Variant {
  /** The dropped index. Empty for none. */
  readonly without: string;
  readonly table: string;
  readonly rows: ReturnType<typeof openRows>;
  /** CPU time of a call in each run, in microseconds. */
  readonly cpuUs: number[];
  calls: number;
}

const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
try {
  const database = join(folder, "users.db");
  await makeDatabase(database);
  const variants = variantsOf(database);
  // The first round warms up.
  for (let round = 0; round <= rounds; round++)
    for (const variant of variants) run(variant, round === 0 ? undefined : variant.cpuUs);
  const [all, ...others] = variants;
  const lines = others.map(({ table, without, cpuUs }) => [
    table,
    without,
    median(all!.cpuUs.map((us, i) => us - cpuUs[i]!)).toFixed(1),
    bytesOf(all!, without).toFixed(0),
  ]);
  console.log(
    `The rows of a mailed AddOTPEmail take ${median(all!.cpuUs).toFixed(1)} us of CPU with all indexes.\n`,
  );
  console.log(table([["table", "index", "CPU us/call", "bytes/call"], ...lines]));
} finally {
  rmSync(folder, { recursive: true });
}

/** A variant with all indexes, and one without each index that the call writes to and that isn't part of a constraint. */
function variantsOf(database: string): Variant[] {
  const variant = (without: string, table: string): Variant => {
    const path = join(folder, `${without || "all"}.db`);
    copyFileSync(database, path);
    const rows = openRows(path);
    rows.database.pragma("wal_autocheckpoint = 16000");
    if (without) rows.database.exec(`drop index ${without}`);
    return { without, table, rows, cpuUs: [], calls: 0 };
  };
  const all = variant("", "");
  const indexes = all.rows.database
    .prepare(
      `select name, tbl_name from sqlite_schema where type = 'index' and sql is not null
       and tbl_name in ('otp_emails', 'outbox', 'hits') order by tbl_name, name`,
    )
    .raw()
    .all() as [string, string][];
  return [all, ...indexes.map(([name, table]) => variant(name, table))];
}

function run(variant: Variant, cpuUs: number[] | undefined): void {
  const { database, add } = variant.rows;
  const before = process.cpuUsage();
  for (let i = 0; i < calls; i += callsPerCommit) {
    database.exec("begin immediate");
    for (let j = 0; j < callsPerCommit; j++) {
      const count = variant.calls++;
      // Real users and addresses come in no order.
      const number = (count * 48_271) % 2_147_483_647;
      add({
        userId: userIdOf(number % adderCount),
        email: { address: `${number}.${addressOf(count)}`, sendCode: {} },
      });
    }
    database.exec("commit");
  }
  const { user, system } = process.cpuUsage(before);
  cpuUs?.push((user + system) / calls);
}

function bytesOf({ rows, calls }: Variant, index: string): number {
  const bytes = rows.database.prepare("select sum(pgsize) from dbstat where name = ?").pluck();
  return (bytes.get(index) as number) / calls;
}
