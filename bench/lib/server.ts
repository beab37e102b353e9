import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { type Pin, serverCore } from "./pin.ts";

/** What a connection to the database is set to. */
export interface Durability {
  readonly journalMode: string;
  readonly synchronous: string;
  /** In pages; 0: off. */
  readonly walAutocheckpoint: number;
}

export interface Reading {
  /** User and system, of all threads, so far. */
  readonly cpuUs: number;
  readonly rssBytes: number;
  /** The most it ever was. */
  readonly rssBytesMax: number;
  /** Undefined before the database is opened. */
  readonly durability: Durability | undefined;
}

/** A server in a process of its own. */
export interface Server {
  readonly pid: number;
  readonly port: number;
  /** From the start of its process until it could be called. */
  readonly startMs: number;
  read(): Promise<Reading>;
  /** Ends it as an operator would, and waits. */
  stop(): Promise<void>;
}

export interface Command {
  /** The script and its arguments. */
  readonly script: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly nodeOptions: readonly string[];
}

const observer = new URL("observer.js", import.meta.url).href;

/**
 * Starts a server and waits until it says on standard error, as the service does in its log, where it listens.
 *
 * @throws if it ends before.
 */
export async function startServer(
  { script, environment, nodeOptions }: Command,
  pin: Pin,
  core = serverCore,
): Promise<Server> {
  // Its user CPU is what is measured: V8 must not throw compiled code away while it waits for its turn.
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
    // The log of the calls is read, and goes nowhere.
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
      reject(new Error(`${child.spawnargs.join(" ")} has ended (${code}):\n${log}`));
    });
  });
}

async function reading(child: ChildProcess): Promise<Reading> {
  const failed = new AbortController();
  const fail = () => failed.abort(new Error(`${child.spawnargs.join(" ")} has ended`));
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
