import { createRequire } from "node:module";
import { Worker } from "node:worker_threads";
import Database from "better-sqlite3";

/** The result of `pragma wal_checkpoint`. */
export interface LogState {
  readonly busy: number;
  /** Pages in the log. */
  readonly log: number;
  /** How many of them are in the database, too. */
  readonly checkpointed: number;
}

/** A thread with its own connection that moves pages from the log of a SQLite file into the database. */
export interface CheckpointThread {
  /**
   * Moves the pages that are in the log now, while others read and write. One call at a time.
   *
   * @throws SqliteError if that failed; or the reason why the thread has ended.
   */
  move(): Promise<LogState>;
  /** Ends the thread, also in the middle of a move. That is as safe as a crash. */
  stop(): Promise<void>;
}

/** What the thread answers to a message. */
type Reply =
  | { readonly state: LogState }
  | { readonly error: { readonly code: string; readonly message: string } };

interface PendingMove {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: Error) => void;
}

/** A text instead of a file, so that it also runs from a bundle. Evaluated code is CommonJS. */
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

/** The thread holds a few objects, and gets a heap for no more. */
const resourceLimits = { maxYoungGenerationSizeMb: 2, maxOldGenerationSizeMb: 16 };

/** @param path of the SQLite file. */
export function startCheckpointThread(path: string): CheckpointThread {
  const driver = createRequire(import.meta.url).resolve("better-sqlite3");
  const worker = new Worker(program, { eval: true, workerData: { driver, path }, resourceLimits });
  // Doesn't keep the process alive: pages that were not moved are safe in the log.
  worker.unref();
  let pending: PendingMove | undefined;
  let ended: Error | undefined;
  const end = (error: Error) => {
    ended ??= error;
    pending?.reject(ended);
  };
  // Without a listener an error would end the process, even between two moves.
  worker.on("error", end);
  worker.on("exit", () => end(new Error("the checkpoint thread has ended")));
  worker.on("message", (reply: Reply) => pending?.resolve(reply));
  return {
    async move() {
      if (ended) throw ended;
      const reply = await new Promise<Reply>((resolve, reject) => {
        pending = { resolve, reject };
        worker.postMessage("move");
      }).finally(() => {
        pending = undefined;
      });
      if ("state" in reply) return reply.state;
      throw new Database.SqliteError(reply.error.message, reply.error.code);
    },
    async stop() {
      await worker.terminate();
    },
  };
}
