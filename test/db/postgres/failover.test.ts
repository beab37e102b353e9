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

/** A service on the database, and a load that is ready to start. */
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

/** Loads the service, lets something happen, and waits until writes are acknowledged again. */
async function through({ load, server }: Loaded, happen: () => Promise<void>): Promise<number> {
  load.start(server);
  const more = async (count: number) => {
    const wanted = load.acknowledged + count;
    await waitFor("acknowledged writes", () => load.acknowledged >= wanted);
  };
  await more(50);
  await happen();
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
  await waitFor("it to be ready", () => isReady(server));
  await load.checkReplies(server, 10);
  return recoveredMs;
}

async function restart(
  { server }: Loaded,
  primary: PostgresServer,
  mode: "fast" | "immediate",
): Promise<void> {
  await primary.stop(mode);
  await waitFor("it to say so", async () => !(await isReady(server)));
  await primary.start();
}

async function readOnlyForATime({ load, server }: Loaded, primary: PostgresServer): Promise<void> {
  const setReadOnly = async (value: string) => {
    await primary.query(`alter system set default_transaction_read_only = ${value}`);
    await primary.query("select pg_reload_conf()");
  };
  await setReadOnly("on");
  await waitFor("it to say so", async () => !(await isReady(server)) && load.refused.length > 0);
  await setReadOnly("off");
}

/** Ends the service, and compares what the database holds with what was acknowledged, in a copy of it. */
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
    "that is stopped under load, fast or at once, loses nothing that was acknowledged, and is found again",
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
          const ms = await through(loaded, async () => {
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
    "that takes no writes for a time makes the service say so, and it heals",
    {
      timeout: 120_000,
    },
    async () => {
      const primary = await PostgresServer.create();
      await primary.start();
      const loaded = await openLoaded(primary.url);
      await through(loaded, () => readOnlyForATime(loaded, primary));
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

  it("that is restarted, read-only for a time and then replaced by its synchronous standby loses nothing that was acknowledged; the URL names both", {
    timeout: 120_000,
  }, async () => {
    const pair = await startPair();
    const hosts = [pair.standby, pair.primary].map(({ port }) => `127.0.0.1:${port}`);
    const databaseUrl = `postgres://countersign:countersign@${hosts.join()}/postgres?target_session_attrs=read-write`;
    const loaded = await openLoaded(databaseUrl);
    await through(loaded, () => restart(loaded, pair.primary, "immediate"));
    await through(loaded, () => readOnlyForATime(loaded, pair.primary));
    const ms = await through(loaded, () => promote(pair));
    await endAndCheck(loaded, pair.standby.url);
    console.log(`promoted: writes again after ${ms.toFixed()} ms`);
  });

  it.runIf(isSoak)(
    "that a synchronous standby takes the place of loses nothing that was acknowledged; the address moves to it",
    {
      timeout: 120_000,
    },
    async () => {
      const pair = await startPair();
      const proxy = await startDatabaseProxy(pair.primary.url);
      const loaded = await openLoaded(proxy.url);
      const ms = await through(loaded, async () => {
        await promote(pair);
        proxy.port = pair.standby.port;
      });
      await endAndCheck(loaded, pair.standby.url);
      console.log(`promoted: writes again after ${ms.toFixed()} ms`);
    },
  );

  it.runIf(isSoak)(
    "whose synchronous standby is gone acknowledges no write, not even one whose wait an operator ends",
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
