import { closeSync, copyFileSync, fsyncSync, openSync } from "node:fs";
import Database from "better-sqlite3";
import { openStore } from "../../src/db/open.ts";
import { adderCount, orgId, userIdOf, verifierCount } from "./operations.ts";

/** Makes a database of the service, with all users and nothing else. */
export async function makeDatabase(path: string): Promise<void> {
  {
    await using store = openStore(`sqlite:${path}`);
    await store.migrate();
  }
  const database = new Database(path);
  database.pragma("synchronous = OFF");
  database
    .prepare(
      `with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?)
       insert into users (user_id, org_id, state, sequence, create_time, change_time)
       select ? || i, ?, 'active', 0, 0, 0 from n order by ? || i`,
    )
    .run(adderCount + verifierCount, userIdPrefix, orgId, userIdPrefix);
  database.pragma("wal_checkpoint(TRUNCATE)");
  database.close();
}

const userIdPrefix = userIdOf(0).slice(0, -1);

/** Each server has a copy of its own. It is on the disk: or the first commits would wait for it. */
export function copyDatabase(from: string, to: string): void {
  copyFileSync(from, to);
  const file = openSync(to, "r+");
  fsyncSync(file);
  closeSync(file);
}
