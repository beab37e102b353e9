import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Pin, serverCore } from "./machine.ts";

/** Settings of a database connection that decide what a commit guarantees. */
export interface Durability {
  readonly journalMode: string;
  readonly synchronous: string;
  /** In pages. 0 turns it off. */
  readonly walAutocheckpoint: number;
}

export interface Reading {
  /** User and system time of all threads since the start, in microseconds. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** Peak since the start. */
  readonly rssBytesMax: number;
  /** Undefined before the database is opened. */
  readonly durability: Durability | undefined;
}

/** A server process. */
export interface Server {
  readonly pid: number;
  readonly port: number;
  /** From the start of the process until it listened. */
  readonly startMs: number;
  read(): Promise<Reading>;
  /** Sends SIGTERM and resolves when the process has exited. */
  stop(): Promise<void>;
}

export interface Command {
  /** Path of the script, and its arguments. */
  readonly script: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly nodeOptions: readonly string[];
}

const observer = new URL("observer.js", import.meta.url).href;

/**
 * Starts a server and waits until it logs its `origin` to standard error, as the service does.
 *
 * @throws if it exits before that.
 */
export async function startServer(
  { script, environment, nodeOptions }: Command,
  pin: Pin,
  core = serverCore,
): Promise<Server> {
  // While a server waits for its turn, V8 would discard its compiled code, and the next run would measure compilation.
  const options = ["--no-memory-reducer", ...nodeOptions, `--import=${observer}`];
  const [command, ...args] = pin(core, [process.execPath, ...options, ...script]);
  const start = performance.now();
  const child = spawn(command, args, {
    env: { PATH: process.env.PATH, NODE_ENV: "production", ...environment },
    stdio: ["ignore", "inherit", "pipe", "ipc"],
  });
  const origin = await listening(child);
  return {
    pid: child.pid!,
    port: Number(new URL(origin).port),
    startMs: performance.now() - start,
    read: () => reading(child),
    async stop() {
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let log = "";
    let isListening = false;
    // Keep reading after that: the pipe must not fill up with the log of the calls.
    child.stderr?.on("data", (chunk) => {
      log = `${log}${chunk}`.slice(-8192);
      if (isListening) return;
      const origin = /"origin":"(http:\/\/[^"]+)"/.exec(log)?.[1];
      if (!origin) return;
      isListening = true;
      resolve(origin);
    });
    child.once("exit", (code) => {
      if (isListening) return;
      reject(new Error(`${child.spawnargs.join(" ")} exited with ${code}:\n${log}`));
    });
  });
}

async function reading(child: ChildProcess): Promise<Reading> {
  const failed = new AbortController();
  const fail = () => failed.abort(new Error(`${child.spawnargs.join(" ")} exited`));
  child.once("exit", fail);
  try {
    const message = once(child, "message", { signal: failed.signal });
    child.send("read");
    const [reading] = await message;
    return reading as Reading;
  } finally {
    child.off("exit", fail);
  }
}
