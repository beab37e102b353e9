import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

/** The cores of the two sides. */
export const serverCore = 0;
export const clientCore = 1;

/** Puts a command on a core. The command as it is where that cannot be done. */
export type Pin = (core: number, command: readonly string[]) => [string, ...string[]];

/** Why nothing can be pinned here, or undefined. */
export function whyUnpinned(): string | undefined {
  if (availableParallelism() < 2) return "this machine gives the bench one core";
  const { status } = spawnSync("taskset", ["-c", `${serverCore},${clientCore}`, "true"]);
  return status === 0 ? undefined : "taskset (Debian: util-linux) is missing, or cores 0 and 1 are not ours";
}

export function pinBy(isPinned: boolean): Pin {
  return (core, command) => {
    const whole = isPinned ? ["taskset", "-c", String(core), ...command] : command;
    return whole as [string, ...string[]];
  };
}
