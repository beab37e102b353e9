import { spawnSync } from "node:child_process";
import { availableParallelism, cpus } from "node:os";

/** Core of the measured server, and core of the client that makes the load. */
export const serverCore = 0;
export const clientCore = 1;

/** Makes a command run on a core. Returns the command unchanged where processes can't be pinned. */
export type Pin = (core: number, command: readonly string[]) => [string, ...string[]];

export interface Machine {
  readonly name: string;
  readonly isPinned: boolean;
  readonly pin: Pin;
}

/** Prints which machine this is, and pins this process to the core of the client. */
export function prepareMachine(): Machine {
  const name = `Node ${process.version}, ${cpus()[0]?.model ?? "unknown CPU"}`;
  const problem = pinningProblem();
  const isPinned = problem === undefined;
  if (isPinned) spawnSync("taskset", ["-a", "-c", "-p", String(clientCore), String(process.pid)]);
  console.log(name);
  console.log(isPinned ? "server and client pinned to one core each" : `not pinned: ${problem}`);
  const pin: Pin = (core, command) => {
    const pinned = isPinned ? ["taskset", "-c", String(core), ...command] : command;
    return pinned as [string, ...string[]];
  };
  return { name, isPinned, pin };
}

function pinningProblem(): string | undefined {
  if (availableParallelism() < 2) return "only one core is available";
  const { status } = spawnSync("taskset", ["-c", `${serverCore},${clientCore}`, "true"]);
  return status === 0 ? undefined : "taskset (Debian: util-linux) or access to cores 0 and 1 is missing";
}
