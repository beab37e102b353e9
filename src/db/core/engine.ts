import type { Dialect, Kysely } from "kysely";
import type { DB } from "./schema.ts";
import type { Write, Writer } from "./write.ts";

export type EngineName = "sqlite" | "postgres";

/** What an engine reports outside of any call. Listeners must not throw. */
export interface EngineListeners {
  /** An error that no call rejects with, such as the loss of an idle connection. */
  readonly onError: (error: Error) => void;
  /** Called once when the storage has failed for good: no call succeeds from then on, and the process should end. */
  readonly onFailure: (error: Error) => void;
}

/**
 * An open database, as the store sees it. The folders of the engines are alike: `engine.ts` makes one of these from `dialect.ts`,
 * `writer.ts` and `health.ts`; `errors.ts` classifies errors; `statements.ts` prepares statements once; `types.ts` maps column
 * types and values. All other files belong to one engine only.
 *
 * A new engine is opened in `store.ts`, has its errors in `storage-errors.ts`, and is one of `hasManyWriters` (lock.ts) if its
 * transactions write concurrently.
 */
export interface Engine {
  readonly name: EngineName;
  readonly dialect: Dialect;

  /** @param onCommit is called after each commit, which may be of several writes. */
  createWriter(db: Kysely<DB>, onCommit: () => void): Writer;

  /** Runs the missing migrations and returns their names. */
  migrate(db: Kysely<DB>): Promise<string[]>;

  /** Whether a write would succeed now, as far as that is known. It may try one. */
  takesWrites(db: Kysely<DB>, write: Write): Promise<boolean>;
}
