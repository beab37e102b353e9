import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { OnEnd } from "../folder.ts";

/** The built program. */
export const main = fileURLToPath(new URL("../../../dist/src/main.js", import.meta.url));

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;

  readonly origin: string;
  stdout(): string;
  stderr(): string;
  /** Waits until it exits. */
  finished(): Promise<Finished>;
}

/** Whether a server reports ready. */
export async function isReady({ origin }: { readonly origin: string }): Promise<boolean> {
  return (await fetch(`${origin}/readyz`)).status === 200;
}

/** Runs a command of the built program (`npm run build`) until it exits, with only these settings. */
export async function runCommand(
  args: string[],
  environment: Record<string, string> = {},
  onEnd: OnEnd = onTestFinished,
): Promise<Finished> {
  return watch(args, environment, onEnd).finished();
}

/** Starts the built program as a server and waits until it listens. */
export async function startCommand(
  args: string[],
  environment: Record<string, string> = {},
  onEnd: OnEnd = onTestFinished,
): Promise<Running> {
  const running = watch(args, { COUNTERSIGN_LISTEN: "127.0.0.1:0", ...environment }, onEnd);
  const origin = await new Promise<string>((resolve, reject) => {
    const findOrigin = () => {
      const origin = /"origin":"(https?:\/\/[^"]+)"/.exec(running.stderr())?.[1];
      if (origin) resolve(origin);
    };
    running.child.stderr?.on("data", findOrigin);
    running.child.once("exit", () => reject(new Error(`it exited:\n${running.stderr()}`)));
  });
  return { ...running, origin };
}

function watch(args: string[], environment: Record<string, string>, onEnd: OnEnd) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onEnd(() => void child.kill("SIGKILL"));
  const closed = once(child, "close") as Promise<[number | null]>;
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    async finished(): Promise<Finished> {
      const [code] = await closed;
      return { code, stdout, stderr };
    },
  };
}
