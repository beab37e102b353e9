import { StorageFailed } from "./core/storage-failure.ts";
import { WriteQueueFull } from "./core/write.ts";
import { isUnavailable as isPostgresUnavailable } from "./postgres/errors.ts";
import { isDiskFailure, isUnavailable as isSqliteUnavailable } from "./sqlite/errors.ts";

/**
 * Whether the storage could not be reached, was busy for too long or has failed: the same call may succeed later, if need be
 * in the next process.
 */
export function isStorageUnavailable(error: unknown): boolean {
  return (
    error instanceof WriteQueueFull ||
    error instanceof StorageFailed ||
    isSqliteUnavailable(error) ||
    isPostgresUnavailable(error)
  );
}

/** Whether the disk failed or the database is damaged: this process should end. */
export function isFailure(error: unknown): boolean {
  return error instanceof StorageFailed || isDiskFailure(error);
}
