import type { LocalIssuer } from "../auth/local-issuer.ts";
import { createProver } from "../auth/prover.ts";
import type { Config } from "../config/config.ts";
import type { Store } from "../db/store.ts";
import { listen, type NodeHandler } from "../http/server.ts";
import type { Clock } from "../lib/clock.ts";
import { createLog, type Log } from "../lib/log.ts";
import type { CaughtMail } from "../mail/dev-mailbox/dev-mailbox.ts";
import { startSweeper } from "../operation/retention/sweeper.ts";
import { createMetrics, type Metrics } from "../operation/telemetry/metrics.ts";
import { isReady } from "../pages/pages.ts";
import { createApi } from "./api.ts";
import { CleanupStack } from "./cleanup-stack.ts";
import { backlogOf, type Mail, mailIdentityOf, openMail, startDelivery } from "./mail.ts";
import { createAppPages } from "./pages.ts";
import { openSecrets } from "./secrets.ts";
import { openStorage, type Storage } from "./storage.ts";

/** The running service. */
export interface App extends AsyncDisposable {
  /** Where it listens, such as `http://127.0.0.1:8080`. */
  readonly origin: string;
  readonly store: Store;
  readonly clock: Clock;
  /** The issuer of `countersign token`, if its tokens are accepted. */
  readonly localIssuer: LocalIssuer | undefined;
  /** Resolves when the storage has failed: every call is answered UNAVAILABLE from then on, and the process should end. */
  readonly storageFailed: Promise<void>;
}

/** What a test or the `dev` command replaces. */
export interface AppOverrides {
  readonly clock?: Clock;
  readonly log?: Log;
  /** Called for each mail that the mailbox in the process catches. */
  readonly onMail?: (mail: CaughtMail) => void;
}

/** How long requests in flight have to finish after the service is told to stop. */
const drainMs = 25_000;

/**
 * Puts the service together and starts it: database (migrated), mail, listener.
 *
 * When it is disposed, it stops being ready and takes no new connections, requests in flight finish, the courier stops
 * between mails, and the database is closed.
 *
 * @throws if the database is damaged, the port is taken, or a file of secrets can be read by others.
 */
export async function createApp(config: Config, overrides: AppOverrides = {}): Promise<App> {
  const cleanup = new CleanupStack();
  try {
    return await start(config, overrides, cleanup);
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
}

async function start(config: Config, overrides: AppOverrides, cleanup: CleanupStack): Promise<App> {
  const log = overrides.log ?? createLog(config.logLevel);
  const storage = await openStorage(config, log, cleanup, overrides.clock);
  const { store, clock } = storage;
  const secrets = await openSecrets(config);
  const mail = await openMail(config, { clock, log, onMail: overrides.onMail }, cleanup);
  const metrics = config.metrics ? startMetrics(storage, mail, log) : undefined;

  let handler: NodeHandler = () => {};
  const server = await listen({
    ...config.listen,
    tls: config.tls,
    handler: (request, response) => handler(request, response),
    onError: (err, what) => log.debug({ err }, what),
  });
  // From here on all is synchronous: no request arrives before its handler is there.
  cleanup.defer(() => server.close(0));
  const publicUrl = config.publicUrl ?? server.origin;
  const identity = mailIdentityOf(config, publicUrl);
  const otp = startDelivery({ config, storage, secrets, mail, identity, log, metrics }, cleanup);
  cleanup.add(startSweeper({ store, clock, log }));
  const prover = createProver(publicUrl, secrets.proofKeys);
  let ready = true;
  const canServe = async () => ready && (await store.isReady());
  const parts = { config, log, metrics, otp, prover, publicUrl };
  const { takesUtf8 } = mail.senders;
  const api = createApi({ ...parts, secrets, takesUtf8, isReady: () => isReady(canServe) });
  const { serviceName } = identity;
  const { mailboxPages } = mail;
  handler = createAppPages({ ...parts, serviceName, mailboxPages, isReady: canServe }, api.handler);
  cleanup.defer(async () => {
    ready = false;
    api.stop();
    await server.close(drainMs);
  });
  log.info({ origin: server.origin, mode: config.mode }, "listening");
  return {
    origin: server.origin,
    store,
    clock,
    localIssuer: secrets.localIssuer,
    storageFailed: storage.failed,
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}

function startMetrics({ store, clock }: Storage, { senders }: Mail, log: Log): Metrics {
  return createMetrics({
    backlog: () => backlogOf(store, clock),
    canMail: senders.isHealthy,
    onError: (err) => log.error({ err }, "the outbox cannot be measured"),
  });
}
