import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makeDatabase } from "../lib/database.ts";
import { adderCount, addressOf, userIdOf } from "../lib/operations.ts";
import { openRows } from "../lib/rows.ts";
import { table } from "../lib/table.ts";
import { readOptions } from "../lib/testbed.ts";
import { wholeNumber } from "../service/options.ts";
import { median } from "../wire/measure.ts";

const usage = `npm run bench:indexes -- [options]

  --rounds N  measured runs with and without each index (9)
  --calls N   mailed calls of each run (6400)
`;

const atATime = 64;
const { rounds, calls } = readOptions(parse, usage);

function parse(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "9" },
      calls: { type: "string", default: "6400" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return "help";
  return { rounds: wholeNumber("rounds", values.rounds), calls: wholeNumber("calls", values.calls) };
}

interface Variant {
  /** The index that is not there. */
  readonly without: string;
  readonly table: string;
  readonly rows: ReturnType<typeof openRows>;
  /** CPU of a call in each run, in microseconds. */
  readonly cpuUs: number[];
  calls: number;
}

const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
try {
  const database = join(folder, "users.db");
  await makeDatabase(database);
  const variants = variantsOf(database);
  // The first round is to get going.
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
    `A mailed AddOTPEmail, ${median(all!.cpuUs).toFixed(1)} us of CPU for its rows with all indexes.\n`,
  );
  console.log(table([["table", "index", "CPU us a call", "bytes a call"], ...lines]));
} finally {
  rmSync(folder, { recursive: true });
}

/** With all indexes, and then without each that can be dropped and that such a call writes to. */
function variantsOf(database: string): Variant[] {
  const made = (without: string, table: string): Variant => {
    const path = join(folder, `${without || "all"}.db`);
    copyFileSync(database, path);
    const rows = openRows(path);
    rows.database.pragma("wal_autocheckpoint = 16000");
    if (without) rows.database.exec(`drop index ${without}`);
    return { without, table, rows, cpuUs: [], calls: 0 };
  };
  const all = made("", "");
  const indexes = all.rows.database
    .prepare(
      `select name, tbl_name from sqlite_schema where type = 'index' and sql is not null
       and tbl_name in ('otp_emails', 'outbox', 'hits') order by tbl_name, name`,
    )
    .raw()
    .all() as [string, string][];
  return [all, ...indexes.map(([name, table]) => made(name, table))];
}

function run(variant: Variant, cpuUs: number[] | undefined): void {
  const { database, add } = variant.rows;
  const before = process.cpuUsage();
  for (let i = 0; i < calls; i += atATime) {
    database.exec("begin immediate");
    for (let j = 0; j < atATime; j++) {
      const count = variant.calls++;
      // Users come in no order, and nor do addresses in the world.
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
