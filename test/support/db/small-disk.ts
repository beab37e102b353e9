import { execFileSync } from "node:child_process";
import { appendFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { temporaryFolder } from "../folder.ts";

export const needsMount = "needs to mount a tmpfs";

/** Whether small disks are to be had here: on Linux, as root of the machine or of a container that may. */
export const hasSmallDisk = canMount();

/** The folder of a disk of 8 MiB. */
export function smallDisk(): string {
  const folder = temporaryFolder();
  mount(folder);
  onTestFinished(() => void execFileSync("umount", ["-l", folder]));
  return folder;
}

/** Takes all the room that is left. The function that is returned gives it back. */
export function fill(folder: string): () => void {
  const file = join(folder, "filler");
  for (const bytes of [1 << 20, 1 << 12]) {
    try {
      for (;;) appendFileSync(file, Buffer.alloc(bytes));
    } catch {
      // No room for so much.
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
