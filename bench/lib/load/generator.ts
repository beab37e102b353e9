import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { repositoryFile } from "../paths.ts";
import { clientCore, type Pin } from "../pin.ts";
import type { Job, JobReply, Load } from "./process.ts";

/** The load generator, in a process of its own. */
export interface LoadGenerator {
  /** @throws if one reply is not that of a call that went well. */
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
  // Longer than a run that stands still may take: whoever does not answer must not hold the bench.
  const signal = AbortSignal.timeout(Math.ceil(job.runMs) * 10 + 120_000);
  const message = once(child, "message", { signal });
  child.send(job);
  const [reply] = await message;
  return reply as JobReply;
}
