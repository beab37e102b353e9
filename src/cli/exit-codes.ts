import { DatabaseRefused } from "../db/core/storage-failure.ts";
import { isFailure, isStorageUnavailable } from "../db/storage-errors.ts";
import { UsageError } from "./arguments.ts";

/** From 64 on as in sysexits(3), for service managers and mail servers. */
export const exitCodes = {
  ok: 0,
  failed: 1,
  usage: 2,
  /** EX_DATAERR: the database is damaged, or belongs to another program. A restart won't help. */
  databaseRefused: 65,
  /** EX_SOFTWARE: the disk failed, or the database was found to be damaged. A restart may help. */
  storageFailed: 70,
  /** EX_TEMPFAIL: a mail server that pipes a notification to `countersign bounce` keeps it and tries again. */
  tryAgainLater: 75,
};

/**
 * The exit code for an error that a command threw.
 *
 * @param command the first word of its name. After `bounce`, every code but EX_TEMPFAIL makes a mail server return the
 *   notification to its sender.
 */
export function exitCodeOf(error: unknown, command: string): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (command === "bounce") {
    const isTemporary = error instanceof DatabaseRefused || isStorageUnavailable(error);
    return isTemporary ? exitCodes.tryAgainLater : exitCodes.failed;
  }
  if (error instanceof DatabaseRefused) return exitCodes.databaseRefused;
  if (isFailure(error)) return exitCodes.storageFailed;
  return isStorageUnavailable(error) ? exitCodes.tryAgainLater : exitCodes.failed;
}
