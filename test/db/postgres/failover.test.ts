import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startDatabaseProxy } from "../../support/db/database-proxy.ts";
import { PostgresServer } from "../../support/db/postgres-server.ts";
import { loadSettings, StorageLoad } from "../../support/db/storage-load.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { isReady, type Running, runCommand } from "../../support/process/process.ts";
import { openServers, type Servers } from "../../support/servers.ts";
import { isSoak, rounds } from "../../support/soak.ts";
import { waitFor } from "../../support/wait-for.ts";

const { COUNTERSIGN_DATA_DIR: _, ...withoutLimits } = loadSettings("");
const environment = { ...withoutLimits, COUNTERSIGN_LOG_LEVEL: "info" };

/** A service on the database, and a load to start on it. */
interface Loaded {
  readonly servers: Servers;
  readonly server: Running;
  readonly load: StorageLoad;
}

async function openLoaded(databaseUrl: string): Promise<Loaded> {
  const servers = await openServers({ databaseUrl, environment });
  const server = await servers.start();
  const load = new StorageLoad(servers.token);
  await load.prepare(server);
  return { servers, server, load };
}

/**
 * Loads the service, makes the database fail and waits until writes are acknowledged again.
 *
 * @returns how long that took after `fail`, in milliseconds.
 */
async function survive({ load, server }: Loaded, fail: () => Promise<void>): Promise<number> {
  load.start(server);
  const more = async (count: number) => {
    const wanted = load.acknowledged + count;
    await waitFor("acknowledged writes", () => load.acknowledged >= wanted);
  };
  await more(50);
  await fail();
  const returned = performance.now();
  await more(1);
  const recoveredMs = performance.now() - returned;
  await more(50);
  await load.stop();
  for (const { body } of load.refused) {
    expect(body.details?.[0]?.reason).toBe("STORAGE_UNAVAILABLE");
    expect(body.details?.some(({ retryDelay }) => retryDelay === "1s")).toBe(true);
  }
  load.refused.splice(0);
  await waitFor("the service to be ready", () => isReady(server));
  await load.checkReplies(server, 10);
  return recoveredMs;
}

async function restart(
  { server }: Loaded,
  primary: PostgresServer,
  mode: "fast" | "immediate",
): Promise<void> {
  await primary.stop(mode);
  await waitFor("the service to report it", async () => !(await isReady(server)));
  await primary.start();
}

async function makeReadOnlyForATime({ load, server }: Loaded, primary: PostgresServer): Promise<void> {
  const setReadOnly = async (value: string) => {
    await primary.query(`alter system set default_transaction_read_only = ${value}`);
    await primary.query("select pg_reload_conf()");
  };
  await setReadOnly("on");
  await waitFor("the service to report it", async () => !(await isReady(server)) && load.refused.length > 0);
  await setReadOnly("off");
}

/** Ends the service, and compares a copy of its database with the acknowledged writes. */
async function endAndCheck({ servers: { settings }, server, load }: Loaded, url: string): Promise<void> {
  server.child.kill("SIGTERM");
  await server.finished();
  const copy = join(temporaryFolder(), "copy.db");
  const { code, stderr } = await runCommand(["copy", "--from", url, "--to", `sqlite:${copy}`], settings);
  expect(code, stderr).toBe(0);
  load.checkDatabase(copy);
}

describe("F08 a database server", () => {
  it.runIf(isSoak)(
    "stopped under load, fast or at once, loses no acknowledged write",
    {
      timeout: 3_600_000,
    },
    async () => {
      const primary = await PostgresServer.create();
      await primary.start();
      const loaded = await openLoaded(primary.url);
      const recovered: number[] = [];
      for (let round = 0; round < rounds(1, 20); round++) {
        for (const mode of ["fast", "immediate"] as const) {
          const ms = await survive(loaded, async () => {
            await restart(loaded, primary, mode);
          });
          recovered.push(ms);
        }
      }
      await endAndCheck(loaded, primary.url);
      console.log(
        `${recovered.length} restarts: writes again after ${Math.max(...recovered).toFixed()} ms at most`,
      );
    },
  );

  it.runIf(isSoak)(
    "that is read-only for a time makes the service report that, and it recovers",
    {
      timeout: 120_000,
    },
    async () => {
      const primary = await PostgresServer.create();
      await primary.start();
      const loaded = await openLoaded(primary.url);
      await survive(loaded, () => makeReadOnlyForATime(loaded, primary));
    },
  );

  async function startPair() {
    const primary = await PostgresServer.create();
    const standby = await primary.createStandby();
    await primary.start({ synchronous_standby_names: "standby" });
    await standby.start({ wal_retrieve_retry_interval: "100ms" });
    return { primary, standby };
  }

  async function promote({ primary, standby }: Awaited<ReturnType<typeof startPair>>): Promise<void> {
    await primary.stop("immediate");
    await standby.query("select pg_promote()");
  }

  it("restarted, read-only and replaced by a standby in the URL loses no acknowledged write", {
    timeout: 120_000,
  }, async () => {
    const pair = await startPair();
    const hosts = [pair.standby, pair.primary].map(({ port }) => `127.0.0.1:${port}`);
    const databaseUrl = `postgres://countersign:countersign@${hosts.join()}/postgres?target_session_attrs=read-write`;
    const loaded = await openLoaded(databaseUrl);
    await survive(loaded, () => restart(loaded, pair.primary, "immediate"));
    await survive(loaded, () => makeReadOnlyForATime(loaded, pair.primary));
    const ms = await survive(loaded, () => promote(pair));
    await endAndCheck(loaded, pair.standby.url);
    console.log(`promoted: writes again after ${ms.toFixed()} ms`);
  });

  it.runIf(isSoak)(
    "replaced by a standby at its address loses no acknowledged write",
    {
      timeout: 120_000,
    },
    async () => {
      const pair = await startPair();
      const proxy = await startDatabaseProxy(pair.primary.url);
      const loaded = await openLoaded(proxy.url);
      const ms = await survive(loaded, async () => {
        await promote(pair);
        proxy.port = pair.standby.port;
      });
      await endAndCheck(loaded, pair.standby.url);
      console.log(`promoted: writes again after ${ms.toFixed()} ms`);
    },
  );

  it.runIf(isSoak)(
    "without its synchronous standby acknowledges no write, even if its wait is cancelled",
    {
      timeout: 120_000,
    },
    async () => {
      const primary = await PostgresServer.create();
      await primary.start();
      const { server, load } = await openLoaded(primary.url);
      await primary.query("alter system set synchronous_standby_names = 'standby'");
      await primary.query("select pg_reload_conf()");
      await sleep(500);
      const before = load.acknowledged;
      load.start(server);
      const waiting = "from pg_stat_activity where wait_event = 'SyncRep'";
      await waitFor(
        "writes that wait",
        async () => (await primary.query(`select pid ${waiting}`)).length > 3,
      );
      await primary.query(`select pg_cancel_backend(pid) ${waiting}`);
      await waitFor("all to be refused", () => load.refused.length >= 16);
      expect(load.acknowledged).toBe(before);
      const stopped = load.stop();
      await primary.query("alter system reset synchronous_standby_names");
      await primary.query("select pg_reload_conf()");
      await stopped;
    },
  );
});
