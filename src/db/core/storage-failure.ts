/**
 * The storage failed while it was in use: a disk error, a damaged database, or a file that was removed. This process reads and
 * writes nothing more and should end; a restart begins from what is on the disk.
 */
export class StorageFailed extends Error {
  override readonly name = "StorageFailed";
}

/** The database is damaged, truncated, from a newer version or not ours. It is left untouched: an operator has to decide. */
export class DatabaseRefused extends Error {
  override readonly name = "DatabaseRefused";
}
