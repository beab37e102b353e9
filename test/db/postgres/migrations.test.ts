import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { migrations } from "../../../src/db/migrations/index.ts";
import { emptyDatabaseUrl, withClient } from "../../support/db/database.ts";
import { main, runCommand } from "../../support/process/process.ts";
import { isSoak, rounds } from "../../support/soak.ts";
import { waitFor } from "../../support/wait-for.ts";

const names = Object.keys(migrations);

/** An empty database on which each DDL statement takes `ms` milliseconds. */
async function slowDatabaseUrl(ms: number): Promise<string> {
  const url = await emptyDatabaseUrl();
  await withClient(url, (client) =>
    client.query(`create function slow() returns event_trigger language plpgsql
      as $$ begin perform pg_sleep(${ms / 1_000}); end $$;
      create event trigger slow on ddl_command_start execute function slow()`),
  );
  return url;
}

const tablesOf = (url: string) =>
  withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'public' and tablename not like 'kysely%'",
    );
    return rows.map(({ name }) => name);
  });

describe("F09 migrations on PostgreSQL", () => {
  it("run once when four processes start at once, and the others wait", {
    timeout: 120_000,
  }, async () => {
    // In a soak longer than the statement timeout of the service.
    const url = await slowDatabaseUrl(rounds(10, 300));
    const settings = { COUNTERSIGN_DATABASE_URL: url };
    const runs = await Promise.all(Array.from({ length: 4 }, () => runCommand(["migrate"], settings)));
    expect(runs.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
      Array(4).fill({ code: 0, stderr: "" }),
    );
    expect(runs.map(({ stdout }) => stdout).sort()).toEqual(
      [`ran ${names.join(", ")}\n`, ...Array(3).fill("the database is up to date\n")].sort(),
    );
  });

  it.runIf(isSoak)(
    "killed halfway leave nothing, and are run by the process that waits",
    {
      timeout: 600_000,
    },
    async () => {
      for (let round = 0; round < 10; round++) {
        const url = await slowDatabaseUrl(100);
        const busy = (application: string) => async () => {
          const count = `select 1 from pg_stat_activity where application_name = '${application}' and xact_start is not null
          and datname = current_database()`;
          return (await withClient(url, (client) => client.query(count))).rows.length === 1;
        };
        const first = spawn(process.execPath, [main, "migrate"], {
          env: { COUNTERSIGN_DATABASE_URL: `${url}?application_name=first` },
        });
        const ended = once(first, "exit");
        await waitFor("the first to migrate", busy("first"));
        const next = runCommand(["migrate"], { COUNTERSIGN_DATABASE_URL: url });
        await waitFor("the second to wait", busy("countersign migrate"));
        await sleep(Math.random() * 500);
        first.kill("SIGKILL");
        expect(await ended).toEqual([null, "SIGKILL"]);
        expect(await tablesOf(url)).toEqual([]);
        expect(await next).toEqual({ code: 0, stdout: `ran ${names.join(", ")}\n`, stderr: "" });
        expect(await tablesOf(url)).toContain("otp_emails");
      }
    },
  );
});
