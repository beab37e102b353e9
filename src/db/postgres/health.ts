import { type Kysely, sql } from "kysely";
import pg from "pg";
import type { DB } from "../core/schema.ts";
import { isAnswerTimeout } from "./errors.ts";

/** Whether the server answers, learned from the statements that run. Times are those of `performance.now()`. */
export class PostgresHealth {
  #answeredAt = Number.NEGATIVE_INFINITY;
  #silentAt = Number.NEGATIVE_INFINITY;
  #isSilent = false;

  /** True from a statement that timed out until the next answer. */
  get isSilent(): boolean {
    return this.#isSilent;
  }

  /** When a statement last timed out. Connections from before may be cut without knowing it. */
  get silentAt(): number {
    return this.#silentAt;
  }

  answered(): void {
    this.#answeredAt = performance.now();
    this.#isSilent = false;
  }

  /** @param since when the statement or the connection was started. An answer to another one since then outweighs its timeout. */
  observe(error: unknown, since: number): void {
    if (error instanceof pg.DatabaseError) this.answered();
    else if (isAnswerTimeout(error) && this.#answeredAt < since) {
      this.#isSilent = true;
      this.#silentAt = performance.now();
    }
  }
}

/** Whether the server is neither a standby nor set to read-only. */
export async function takesWrites(db: Kysely<DB>): Promise<boolean> {
  const { rows } = await sql<{ is: boolean }>`
    select current_setting('transaction_read_only') = 'off' as is`.execute(db);
  return rows[0]?.is === true;
}
