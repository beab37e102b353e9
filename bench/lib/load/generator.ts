import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { clientCore, type Pin } from "../machine.ts";
import { repositoryFile } from "../paths.ts";
import type { Job, JobReply, Load } from "./process.ts";

/** The load generator, which runs in its own process. */
export interface LoadGenerator {
  /** @throws at the first reply that is not a success. */
  run(job: Job): Promise<Load>;
  stop(): void;
}

export function startLoadGenerator(pin: Pin): LoadGenerator {
  const script = repositoryFile("bench/dist/bench/lib/load/process.js");
  const [command, ...args] = pin(clientCore, [process.execPath, script]);
  const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
  return {
    async run(job) {
      const reply = await ask(child, job);
      if ("error" in reply) throw new Error(`${job.server}, ${job.operation}: ${reply.error}`);
      return reply.load;
    },
    stop: () => void child.kill(),
  };
}

async function ask(child: ChildProcess, job: Job): Promise<JobReply> {
  // A server that stops answering must not hang the bench.
  const signal = AbortSignal.timeout(Math.ceil(job.runMs) * 10 + 120_000);
  const message = once(child, "message", { signal });
  child.send(job);
  const [reply] = await message;
  return reply as JobReply;
}
