import { closeSync, copyFileSync, fsyncSync, openSync, statSync } from "node:fs";
import Database from "better-sqlite3";
import { openStore } from "../../src/db/store.ts";
import { adderCount, orgId, userIdPrefix, verifierCount } from "./workload.ts";

/** Creates a SQLite database of the service with the users of the workload and nothing else. */
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

/**
 * Adds users with one verified address each, in the rows that the service writes: user, authenticator and two events.
 *
 * @returns the bytes of the authenticators with their indexes, and of the file.
 */
export function fillDatabase(
  path: string,
  count: number,
): { readonly rowBytes: number; readonly bytes: number } {
  const database = new Database(path);
  // Safe here: after a crash the file is made again.
  database.pragma("journal_mode = OFF");
  database.pragma("synchronous = OFF");
  database.pragma("cache_size = -256000");
  database.exec("create temp table filler (user_id text primary key, i integer) without rowid");
  database
    .prepare(
      `with recursive n(i) as (select ? union all select i + 1 from n where i + 1 < ?)
       insert into filler select ? || i, i from n`,
    )
    .run(adderCount + verifierCount, adderCount + verifierCount + count, userIdPrefix);
  const time = Date.UTC(2026, 0, 1);
  // The n-th user by id has the n-th event of each type: the database has no other events.
  const nth = "row_number() over (order by user_id)";
  const event = (type: string, sequence: number, position: string, previous: string) =>
    `insert into events (position, previous, org_id, user_id, sequence, type, time, actor, client_address, data)
     select ${position}, ${previous}, '${orgId}', user_id, ${sequence}, '${type}', ${time}, 'caller-1', '127.0.0.1',
       '{"otp_email_id":"' || ((i << 22) + 1) || '","verification":"return_code"}'
     from filler order by user_id`;
  const statements = [
    `insert into users (user_id, org_id, state, sequence, last_event, previous_event, create_time, change_time)
     select user_id, '${orgId}', 'active', 2, ${count} + ${nth}, ${nth}, ${time}, ${time} from filler order by user_id`,
    // Ids grow with time, while users come in any order.
    `insert into otp_emails (otp_email_id, user_id, address, address_canonical, verify_time, attempts, lock_count,
       last_use_time, create_time, change_time)
     select (i << 22) + 1, user_id, 'filler.' || i || '@bench.example', 'filler.' || i || '@bench.example', ${time}, 0, 0,
       ${time}, ${time}, ${time}
     from filler order by i`,
    event("otp_email.added", 1, nth, "null"),
    event("otp_email.verified", 2, `${count} + ${nth}`, nth),
  ];
  for (const statement of statements) database.exec(statement);
  const rowBytes = database
    .prepare(
      `select sum(pgsize) from dbstat where aggregate = true
       and name in ('otp_emails', 'otp_emails_by_address', 'sqlite_autoindex_otp_emails_1')`,
    )
    .pluck()
    .get() as number;
  database.pragma("journal_mode = WAL");
  database.close();
  return { rowBytes, bytes: statSync(path).size };
}

/** Copies a database and syncs it to disk, so that the first commits don't wait for that. */
export function copyDatabase(from: string, to: string): void {
  copyFileSync(from, to);
  const file = openSync(to, "r+");
  fsyncSync(file);
  closeSync(file);
}
