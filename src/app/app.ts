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
import { isReady } from "../pages/health-pages.ts";
import { createApi } from "./api.ts";
import { CleanupStack } from "./cleanup-stack.ts";
import { backlogOf, type Mail, mailIdentityOf, openMail, startDelivery } from "./mail.ts";
import { createAppPages } from "./pages.ts";
import { expiringRows } from "./retention.ts";
import { openSecrets } from "./secrets.ts";
import { openStorage, type Storage } from "./storage.ts";

/** The running service. */
export interface App extends AsyncDisposable {
  /** The base URL, such as `http://127.0.0.1:8080`. */
  readonly origin: string;
  readonly store: Store;
  readonly clock: Clock;
  /** The issuer behind `countersign token`, if its tokens are accepted. */
  readonly localIssuer: LocalIssuer | undefined;
  /** Resolves if the database has failed for good: all calls are UNAVAILABLE from then on, and the process should exit. */
  readonly storageFailed: Promise<void>;
}

/** For tests and the `dev` command. */
interface AppOverrides {
  readonly clock?: Clock;
  readonly log?: Log;
  /** Called for each mail that arrives in the development mailbox. */
  readonly onMail?: (mail: CaughtMail) => void;
}

/** How long requests in flight may take during shutdown. */
const drainMs = 25_000;

/**
 * Creates the service and starts it: migrates the database, opens the mail providers, and listens.
 *
 * Disposing it reports not ready, stops accepting connections, finishes the requests in flight, stops the courier after
 * its current mails, and closes the database, in this order.
 *
 * @throws if the database is damaged, the port is in use, or a file of secrets is readable by other users.
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

  // The handler needs the port for its URLs. It is set before the first request: nothing is awaited from here on.
  let handler: NodeHandler = () => {};
  const server = await listen({
    ...config.listen,
    tls: config.tls,
    handler: (request, response) => handler(request, response),
    onError: (err, what) => log.debug({ err }, what),
  });
  cleanup.defer(() => server.close(0));
  const publicUrl = config.publicUrl ?? server.origin;
  const identity = mailIdentityOf(config, publicUrl);
  const otp = startDelivery({ config, storage, secrets, mail, identity, log, metrics }, cleanup);
  cleanup.add(startSweeper({ store, clock, log, expiring: expiringRows }));
  const prover = createProver(publicUrl, secrets.proofKeys);
  let isStopping = false;
  const canServe = async () => !isStopping && (await store.isReady());
  const parts = { config, log, metrics, otp, mail, prover, publicUrl };
  const api = createApi({ ...parts, secrets, isReady: () => isReady(canServe, clock) });
  handler = createAppPages({ ...parts, identity, isReady: canServe }, api.handler);
  cleanup.defer(async () => {
    isStopping = true;
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
