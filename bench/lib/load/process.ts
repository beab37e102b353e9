import { adderCount, addressOf, authenticatorsMax, type Operation, verifierCount } from "../workload.ts";
import type { Connection } from "./connection.ts";
import {
  type Addition,
  type CallFormatName,
  type Challenge,
  callFormats,
  login,
  type Pending,
  type Request,
} from "./formats.ts";
import { openHttp1 } from "./http1-connection.ts";
import { openHttp2 } from "./http2-connection.ts";

// The process of the load generator. It runs one job at a time.

/** One run against a server. */
export interface Job {
  /** Name of the database: users are counted for each one separately. */
  readonly server: string;
  /** Connections are spread over them. */
  readonly ports: readonly number[];
  readonly format: CallFormatName;
  readonly operation: Operation | "add to verify" | "login";
  /** Requests at a time. */
  readonly concurrency: number;
  readonly runMs: number;
  /** Each connection uses one of them. */
  readonly tokens: readonly string[];
}

export interface Load {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Share of its core that this process used. Near 1 the bench measures the client. */
  readonly clientCore: number;
}

export type JobReply = { readonly load: Load } | { readonly error: string };

/** Which users of a database were used so far. */
interface Progress {
  added: number;
  verified: number;
  readonly pending: Pending[];
  /** Verified authenticators, whose users can log in. */
  readonly ready: Pending[];
  loggedIn: number;
}

/** A series of calls, each sent after the reply to the one before. */
interface Work {
  /** Returns undefined when there are no more calls to make. */
  request(): Request | undefined;
  /** @throws unless the reply is a success. */
  read(body: Uint8Array): void;
}

const progressOf = new Map<string, Progress>();

process.on("message", (job: Job) => {
  const done = (reply: JobReply) => process.send?.(reply);
  runJob(job).then(
    (load) => done({ load }),
    (error) => done({ error: String(error?.stack ?? error) }),
  );
});
process.on("disconnect", () => process.exit(0));

async function runJob(job: Job): Promise<Load> {
  const progress = progressOf.get(job.server) ?? {
    added: 0,
    verified: 0,
    pending: [],
    ready: [],
    loggedIn: 0,
  };
  progressOf.set(job.server, progress);
  if (job.operation === "verify") return run(job, () => verifying(job, progress));
  if (job.operation === "login") return run(job, () => loggingIn(progress));
  if (job.operation !== "add to verify")
    return run(job, () => adding(job, () => nextAddition(progress, job)));
  const keep = (pending: Pending) => void progress.pending.push(pending);
  return run(job, () => adding(job, () => nextVerifier(progress, job), keep));
}

function nextAddition(progress: Progress, { operation, format }: Job): Addition {
  const count = progress.added++;
  if (count >= adderCount * authenticatorsMax)
    throw new Error("every user has the maximum of authenticators");
  return {
    user: shuffle(count, adderCount),
    address: addressOf(count),
    isMailed: format === "better-auth" || operation === "add, code mailed",
  };
}

function nextVerifier(progress: Progress, { format }: Job): Addition {
  const count = progress.verified++;
  if (count >= verifierCount) throw new Error("every user has verified its address");
  return {
    user: adderCount + shuffle(count, verifierCount),
    address: addressOf(count),
    isMailed: format === "better-auth",
  };
}

/** Spreads consecutive calls over the database, since real users don't come in the order of their ids. */
function shuffle(count: number, users: number): number {
  return (count * 7919) % users;
}

function adding({ format }: Job, next: () => Addition, keep: (pending: Pending) => void = () => {}): Work {
  const { add, readAdded } = callFormats[format];
  let addition: Addition;
  return {
    request() {
      addition = next();
      return add(addition);
    },
    read: (body) => keep(readAdded(body, addition)),
  };
}

function verifying({ format }: Job, { pending, ready }: Progress): Work {
  const { verify, readVerified } = callFormats[format];
  let one: Pending | undefined;
  return {
    request() {
      one = pending.pop();
      return one && verify(one);
    },
    read(body) {
      readVerified(body);
      if (one) ready.push(one);
    },
  };
}

/** Alternates between creating a challenge and verifying its code. */
function loggingIn(progress: Progress): Work {
  let challenge: Challenge | undefined;
  let one: Pending | undefined;
  return {
    request() {
      if (challenge) return login.verify(challenge);
      one = progress.ready[progress.loggedIn++ % progress.ready.length];
      return one && login.challenge(one);
    },
    read(body) {
      if (challenge) login.readProof(body);
      challenge = challenge || !one ? undefined : login.readChallenge(body, one);
    },
  };
}

/** Makes calls with the concurrency of the job until its time is over or there are no more calls to make. */
async function run(job: Job, createWork: () => Work): Promise<Load> {
  const { concurrency, runMs } = job;
  const connections = openConnections(job);
  const latencies: number[] = [];
  const before = process.cpuUsage();
  const start = performance.now();
  const end = start + runMs;

  async function makeCalls(connection: Connection): Promise<void> {
    const work = createWork();
    for (let now = performance.now(); now < end; ) {
      const request = work.request();
      if (!request) return;
      work.read(await connection.send(request.path, request.body));
      const after = performance.now();
      latencies.push(after - now);
      now = after;
    }
  }
  try {
    await Promise.all(
      Array.from({ length: concurrency }, (_, i) => makeCalls(connections[i % connections.length]!)),
    );
  } finally {
    for (const connection of connections) connection.close();
  }
  const seconds = (performance.now() - start) / 1000;
  const { user, system } = process.cpuUsage(before);
  const sorted = Float64Array.from(latencies).sort();
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] ?? Number.NaN;
  return {
    requests: sorted.length,
    requestsPerSecond: sorted.length / seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    clientCore: (user + system) / 1e6 / seconds,
  };
}

/** HTTP/1.1 needs a connection for each concurrent request. HTTP/2 gets up to eight. */
function openConnections({ format, concurrency, ports, tokens }: Job): Connection[] {
  const { http, contentType } = callFormats[format];
  const count = http === 1 ? concurrency : Math.min(8, concurrency);
  return Array.from({ length: count }, (_, i) => {
    const options = { port: ports[i % ports.length]!, contentType, token: tokens[i % tokens.length]! };
    return http === 1 ? openHttp1(options) : openHttp2(options);
  });
}
