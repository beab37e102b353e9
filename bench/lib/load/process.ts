import { adderCount, addressOf, authenticatorsMax, type Operation, verifierCount } from "../operations.ts";
import type { Connection } from "./connection.ts";
import {
  type Addition,
  type Challenge,
  login,
  type Request,
  type SpellingName,
  spellings,
  type Waiting,
} from "./formats.ts";
import { openHttp1 } from "./http1-connection.ts";
import { openHttp2 } from "./http2-connection.ts";

// The load generator: a process of its own, so that it has a core of its own. One run at a time.

/** What a server is to be asked. */
export interface Job {
  /** Whom it counts the users for: each database begins anew. */
  readonly server: string;
  /** Connections go to them in turn. */
  readonly ports: readonly number[];
  readonly spelling: SpellingName;
  readonly operation: Operation | "add to verify" | "login";
  readonly concurrency: number;
  readonly runMs: number;
  /** One for each connection, in turn. */
  readonly tokens: readonly string[];
}

export interface Load {
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of the core of this process. Near 1 it is the client that is measured. */
  readonly clientCore: number;
}

export type JobReply = { readonly load: Load } | { readonly error: string };

/** What was asked of a server so far. */
interface Progress {
  added: number;
  verified: number;
  readonly waiting: Waiting[];
  /** Authenticators whose users can log in. */
  readonly ready: Waiting[];
  loggedIn: number;
}

interface Work {
  request(): Request | undefined;
  /** @throws unless the call went well. */
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
    waiting: [],
    ready: [],
    loggedIn: 0,
  };
  progressOf.set(job.server, progress);
  if (job.operation === "verify") return run(job, () => verifying(job, progress));
  if (job.operation === "login") return run(job, () => loggingIn(progress));
  if (job.operation !== "add to verify")
    return run(job, () => adding(job, () => nextAddition(progress, job)));
  const keep = (waiting: Waiting) => void progress.waiting.push(waiting);
  return run(job, () => adding(job, () => nextVerifier(progress, job), keep));
}

function nextAddition(progress: Progress, { operation, spelling }: Job): Addition {
  const count = progress.added++;
  if (count >= adderCount * authenticatorsMax) throw new Error("every user has all its authenticators");
  return {
    user: spread(count, adderCount),
    address: addressOf(count),
    isMailed: spelling === "better-auth" || operation === "add, code mailed",
  };
}

function nextVerifier(progress: Progress, { spelling }: Job): Addition {
  const count = progress.verified++;
  if (count >= verifierCount) throw new Error("every user has verified its address");
  return {
    user: adderCount + spread(count, verifierCount),
    address: addressOf(count),
    isMailed: spelling === "better-auth",
  };
}

/** Neighbours in time are none in the database: users do not come in the order of their ids. */
function spread(count: number, users: number): number {
  return (count * 7919) % users;
}

function adding({ spelling }: Job, next: () => Addition, keep: (waiting: Waiting) => void = () => {}): Work {
  const { add, readAdded } = spellings[spelling];
  let addition: Addition;
  return {
    request() {
      addition = next();
      return add(addition);
    },
    read: (body) => keep(readAdded(body, addition)),
  };
}

function verifying({ spelling }: Job, { waiting, ready }: Progress): Work {
  const { verify, readVerified } = spellings[spelling];
  let one: Waiting | undefined;
  return {
    request() {
      one = waiting.pop();
      return one && verify(one);
    },
    read(body) {
      readVerified(body);
      if (one) ready.push(one);
    },
  };
}

/** Two calls in turn, of one user after the other: a challenge, and its code. */
function loggingIn(progress: Progress): Work {
  let challenge: Challenge | undefined;
  let one: Waiting | undefined;
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

/** Asks with so many requests at a time until the time is over, or there is nothing left to ask. */
async function run(job: Job, createWork: () => Work): Promise<Load> {
  const { concurrency, runMs } = job;
  const connections = openConnections(job);
  const latencies: number[] = [];
  const before = process.cpuUsage();
  const start = performance.now();
  const end = start + runMs;

  async function askInTurn(connection: Connection): Promise<void> {
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
      Array.from({ length: concurrency }, (_, i) => askInTurn(connections[i % connections.length]!)),
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

/** HTTP/1.1 has a connection for each request at a time, HTTP/2 up to eight. */
function openConnections({ spelling, concurrency, ports, tokens }: Job): Connection[] {
  const { http, contentType } = spellings[spelling];
  const count = http === 1 ? concurrency : Math.min(8, concurrency);
  return Array.from({ length: count }, (_, i) => {
    const options = { port: ports[i % ports.length]!, contentType, token: tokens[i % tokens.length]! };
    return http === 1 ? openHttp1(options) : openHttp2(options);
  });
}
