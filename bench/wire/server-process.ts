import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { type Pin, serverCore } from "../lib/machine.ts";
import { type Case, servers } from "./cases.ts";
import type { CPUReading, Ready } from "./servers/measured.ts";

/** A server process. */
export interface ServerProcess extends Ready {
  /** User and system time so far, in microseconds. */
  cpuUs(): Promise<number>;
  /** Resolves when the process has exited. */
  stop(): Promise<void>;
}

/** @throws if the process exits before it listens. */
export async function startServer(
  { server, http }: Case,
  pin: Pin,
  nodeOptions: readonly string[],
): Promise<ServerProcess> {
  const { script, args } = servers[server]!;
  const file = fileURLToPath(new URL(`./servers/${script}.js`, import.meta.url));
  const [command, ...rest] = pin(serverCore, [process.execPath, ...nodeOptions, file, http, ...args]);
  const child = spawn(command, rest, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  const { port, headers } = (await nextMessage(child, server)) as Ready;
  return {
    port,
    headers,
    async cpuUs() {
      const reading = nextMessage(child, server);
      child.send("cpu");
      return ((await reading) as CPUReading).cpuUs;
    },
    async stop() {
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      child.disconnect();
      await ended;
    },
  };
}

function nextMessage(child: ChildProcess, server: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const fail = () => reject(new Error(`the server ${server} exited`));
    child.once("exit", fail);
    child.once("error", reject);
    child.once("message", (message) => {
      child.off("exit", fail);
      child.off("error", reject);
      resolve(message);
    });
  });
}
