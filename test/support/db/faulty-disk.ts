import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { memoryFolder } from "./memory-folder.ts";

/** A fault of the database files: syncs, writes or reads fail with EIO, or writes with ENOSPC (`full`). */
export type Fault = "sync" | "write" | "read" | "full";

const library = compile();

/** Whether faults can be injected: on Linux with a C compiler. */
export const hasFaultyDisk = library !== undefined;

export const needsCompiler = "needs Linux and a C compiler";

/** A disk that fails on demand, for processes started with this environment. */
export class FaultyDisk {
  readonly #folder = memoryFolder();
  readonly environment = { LD_PRELOAD: library ?? "", FAULTY_DISK: this.#folder };

  begin(fault: Fault): void {
    writeFileSync(join(this.#folder, fault), "");
  }

  end(fault: Fault): void {
    rmSync(join(this.#folder, fault));
  }

  /**
   * Tracks what a loss of power would leave of files that are created from now on.
   *
   * @param torn whether some of the writes that were not synced survive, too.
   */
  rememberSynced({ torn = false } = {}): void {
    mkdirSync(join(this.#folder, "durable"));
    if (torn) writeFileSync(join(this.#folder, "torn"), "");
  }

  /** Replaces files by what a loss of power would have left of them. */
  losePower(files: readonly string[]): void {
    for (const file of files.filter((file) => existsSync(file))) {
      const synced = join(this.#folder, "durable", String(statSync(file).ino));
      if (existsSync(synced)) copyFileSync(synced, file);
      else writeFileSync(file, "");
    }
  }
}

function compile(): string | undefined {
  if (process.platform !== "linux") return undefined;
  const source = fileURLToPath(new URL("./faulty-disk.c", import.meta.url));
  const folder = mkdtempSync(join(tmpdir(), "countersign-test-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const library = join(folder, "faulty-disk.so");
  try {
    execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl", "-lpthread"], {
      stdio: "ignore",
    });
    return library;
  } catch {
    return undefined;
  }
}
