import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import Database from "better-sqlite3";
import type { LogState } from "./checkpoint.ts";

/** A thread with a connection of its own that moves the log of a SQLite file into the database. */
export interface CheckpointThread {
  /**
   * Moves what stands in the log now, while others read and write. To be called once at a time.
   *
   * @throws SqliteError if that failed; or why the thread has ended.
   */
  move(): Promise<LogState>;
  /** Ends it, whatever it is about: that is as safe as a crash. */
  stop(): Promise<void>;
}

type Report =
  | { readonly state: LogState }
  | { readonly error: { readonly code: string; readonly message: string } };

/** As text, which runs wherever this file does: as a source, and put together with others. Such text is CommonJS. */
const program = `
  const { parentPort, workerData } = require("node:worker_threads");
  const Database = require(workerData.driver);
  const database = new Database(workerData.path, { fileMustExist: true });
  database.pragma("synchronous = FULL");
  const move = database.prepare("pragma wal_checkpoint(PASSIVE)");
  parentPort.on("message", () => {
    try {
      parentPort.postMessage({ state: move.get() });
    } catch ({ code, message }) {
      parentPort.postMessage({ error: { code, message } });
    }
  });
`;

export function startCheckpointThread(path: string): CheckpointThread {
  const driver = createRequire(import.meta.url).resolve("better-sqlite3");
  // It holds a few objects.
  const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 };
  const worker = new Worker(program, { eval: true, workerData: { driver, path }, resourceLimits });
  // Nobody waits for it when the process ends: what it has not moved is in the log.
  worker.unref();
  let working: Waiter | undefined;
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    working?.reject(ended);
  };
  // Also while nobody waits for it: an error that nobody listens to would end the process.
  worker.on("error", end);
  worker.on("exit", () => end(new Error("the thread of the checkpoints has ended")));
  worker.on("message", (report: Report) => working?.resolve(report));
  return {
    async move() {
      if (ended) throw ended;
      const report = await new Promise<Report>((resolve, reject) => {
        working = { resolve, reject };
        worker.postMessage("move");
      }).finally(() => {
        working = undefined;
      });
      if ("state" in report) return report.state;
      throw new Database.SqliteError(report.error.message, report.error.code);
    },
    async stop() {
      await worker.terminate();
    },
  };
}

interface Waiter {
  readonly resolve: (report: Report) => void;
  readonly reject: (error: Error) => void;
}
