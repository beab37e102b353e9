import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { openStore } from "../../../src/db/store.ts";
import { freePort, loadEmbeddedPostgres } from "./embedded-postgres.ts";
import { memoryRoot } from "./memory-folder.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The server on which each test creates its databases. Undefined: the tests run on SQLite. */
    postgresUrl?: string;
  }
}

/** The database that test databases are copied from. */
export const templateName = "template_countersign";

/** Starts a PostgreSQL server for the tests of a project, and removes it afterwards. */
export default async function startCluster(project: TestProject): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(memoryRoot, "countersign-postgres-"));
  // If run by root, the server runs as another user, who needs access.
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
    // No fsync: these tests are not about durability.
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
