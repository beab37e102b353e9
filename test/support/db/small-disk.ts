import { execFileSync } from "node:child_process";
import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { temporaryFolder } from "../folder.ts";

export const needsMount = "needs to mount a tmpfs";

/** Whether a small disk can be mounted: on Linux, as root of the machine or of a privileged container. */
export const hasSmallDisk = canMount();

/** Mounts a disk of 8 MiB and returns its folder. */
export function smallDisk(): string {
  const folder = temporaryFolder();
  mount(folder);
  onTestFinished(() => void execFileSync("umount", ["-l", folder]));
  return folder;
}

/**
 * Fills the disk.
 *
 * @returns a function that frees the space.
 */
export function fill(folder: string): () => void {
  const file = join(folder, "filler");
  for (const bytes of [1 << 20, 1 << 12]) {
    try {
      for (;;) appendFileSync(file, Buffer.alloc(bytes));
    } catch {
      // Full for writes of this size.
    }
  }
  return () => rmSync(file);
}

function mount(folder: string): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", folder], { stdio: "ignore" });
}

function canMount(): boolean {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return false;
  try {
    execFileSync("unshare", ["-m", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}
