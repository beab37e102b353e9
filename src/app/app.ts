import type { DescService } from "@bufbuild/protobuf";
import { ChallengeService } from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health } from "../../gen/health/v1/health_pb.ts";
import type { Parser } from "../api/call-context.ts";
import { createChallengeParsers } from "../api/challenges/challenge-requests.ts";
import { createChallengeService } from "../api/challenges/challenge-service.ts";
import { createHealth, type HealthService } from "../api/health.ts";
import { type CallLine, codeName, createInterceptors, logCall } from "../api/interceptors.ts";
import { createReflection, type ReflectionService } from "../api/reflection.ts";
import { createUserParsers } from "../api/users/user-requests.ts";
import { createUserService } from "../api/users/user-service.ts";
import { type LocalIssuer, openLocalIssuer } from "../auth/local-issuer.ts";
import { rules } from "../auth/permissions.ts";
import { createProver, openDevelopmentProofKey, type Prover } from "../auth/prover.ts";
import { signingKeyOf } from "../auth/signing-key.ts";
import { createVerifier } from "../auth/verifier.ts";
import type { Config } from "../config/config.ts";
import { senderOf } from "../config/mail.ts";
import { openDatabaseClock } from "../db/postgres/clock.ts";
import { isStorageUnavailable } from "../db/storage-errors.ts";
import { openStore, type Store } from "../db/store.ts";
import { createEventFeed, type EventFeed } from "../events/event-feed.ts";
import { clientAddressOf, parseTrustedProxies } from "../http/client-address.ts";
import { createCors } from "../http/cors.ts";
import { listen, type NodeHandler } from "../http/server.ts";
import { type Clock, systemClock } from "../lib/clock.ts";
import { errorDomain } from "../lib/errors.ts";
import { createLog, type Log } from "../lib/log.ts";
import { makePrivateFolder } from "../lib/private-file.ts";
import { startCourier } from "../mail/courier/courier.ts";
import type { CaughtMail } from "../mail/dev-mailbox/dev-mailbox.ts";
import { readBacklog } from "../mail/outbox/backlog.ts";
import { openSenders } from "../mail/providers/senders.ts";
import { builtInLetter } from "../mail/templates/letters.ts";
import { readLetters } from "../mail/templates/own-templates.ts";
import { startSweeper } from "../operation/retention/sweeper.ts";
import { createMetrics, type Metrics } from "../operation/telemetry/metrics.ts";
import { reportChallenge } from "../otp/challenges/end.ts";
import { createKeyRing, openDevelopmentKey } from "../otp/codes/keys.ts";
import { claimedPurpose, readMailHandle } from "../otp/codes/mail-handle.ts";
import type { OTPContext } from "../otp/context.ts";
import { recordProviderReport } from "../otp/delivery/bounces.ts";
import { composeMail, type MailIdentity } from "../otp/delivery/compose-mail.ts";
import { codeOfLink, verifyByLink } from "../otp/delivery/mail-link.ts";
import { recordSettled } from "../otp/delivery/record-settled.ts";
import { createApiReference, type OAuthEndpoints } from "../pages/api-reference.ts";
import { createBounceWebhook } from "../pages/bounce-webhook.ts";
import { jwksPage } from "../pages/jwks-page.ts";
import { createPages, isReady, pageAt } from "../pages/pages.ts";
import { createVerifyPage, type MailLinks, type Sender } from "../pages/verify-page.ts";
import { findUserUntold } from "../users/user.ts";
import { bind, callEnd, createWire, peerAddress, protocolOf } from "../wire/wire.ts";

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

/** What a test or the `dev` command puts in the place of the usual. */
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
 * To dispose it: it is no longer ready and takes no new connections, requests in flight finish, the courier stops
 * between mails, the database is closed.
 *
 * @throws if the database is damaged, the port is taken, or a file of secrets can be read by others.
 */
export async function createApp(config: Config, overrides: AppOverrides = {}): Promise<App> {
  const log = overrides.log ?? createLog(config.logLevel);
  const cleanup = new CleanupStack();
  try {
    makePrivateFolder(config.dataDir);
    const onError = (err: Error) => log.warn({ err }, "a connection to the database was lost");
    let storageHasFailed = () => {};
    const storageFailed = new Promise<void>((resolve) => {
      storageHasFailed = resolve;
    });
    const onFailure = (err: Error) => {
      log.fatal({ err }, "the storage has failed: nothing is read or written any more, and the service ends");
      storageHasFailed();
    };
    const store = cleanup.add(openStore(config.databaseUrl, { onError, onFailure }));
    await store.migrate();
    const clock = overrides.clock ?? (await clockOf(store, log, cleanup));
    const localIssuer = config.trustLocalIssuer ? await openLocalIssuer(config.dataDir) : undefined;
    const [proofKey, ...otherProofKeys] = config.proofKeys ?? [openDevelopmentProofKey(config.dataDir)];
    const signingKeys = [
      await signingKeyOf(proofKey),
      ...(await Promise.all(otherProofKeys.map(signingKeyOf))),
    ] as const;
    const mailbox = config.smtpUrl === undefined ? await openMailbox(clock, overrides.onMail) : undefined;
    if (mailbox) cleanup.add(mailbox);
    const mailer = cleanup.add(
      await openSenders({
        clock,
        log,
        usual: senderOf(config) ?? { smtpUrl: mailbox?.smtpUrl ?? "", from: config.mailFrom },
        organizations: config.senders,
      }),
    );

    let ready = true;
    let handler: NodeHandler = () => {};
    const server = await listen({
      ...config.listen,
      tls: config.tls,
      handler: (request, response) => handler(request, response),
      onError: (err, what) => log.debug({ err }, what),
    });
    // What follows is synchronous: no request comes before the handler is there.
    const publicUrl = config.publicUrl ?? server.origin;
    const otp: OTPContext = {
      store,
      clock,
      keys: createKeyRing(config.keys ?? [openDevelopmentKey(config.dataDir)]),
      policy: config.policy,
      messageIdDomain: new URL(publicUrl).hostname,
      mailQueued: () => courier.wake(),
    };
    const identity: MailIdentity = {
      publicUrl,
      serviceName: config.mailFrom.name || new URL(publicUrl).hostname,
      letters: config.templatesDir === undefined ? builtInLetter : readLetters(config.templatesDir),
      defaultLanguage: config.defaultLanguage,
      codeInSubject: config.codeInSubject,
      bounceAddress: config.bounceAddress,
    };
    const metrics = config.metrics
      ? createMetrics({
          backlog: () => backlogOf(store, clock),
          canMail: mailer.isHealthy,
          onError: (err) => log.error({ err }, "the outbox cannot be measured"),
        })
      : undefined;
    const courier = cleanup.add(
      startCourier({
        store,
        clock,
        mailer,
        log,
        compose: (row) => composeMail(otp, identity, row),
        onSettle: (trx, row) => recordSettled(trx, otp, row),
        onSettled: metrics?.countMail,
      }),
    );
    cleanup.add(startSweeper({ store, clock, log }));
    const prover = createProver(publicUrl, signingKeys);
    const events = createEventFeed(store, clock);
    cleanup.add({
      async [Symbol.asyncDispose]() {
        ready = false;
        health.stop();
        // Or their streams would hold the drain up to the end.
        reflection?.stop();
        events.close();
        await server.close(drainMs);
      },
    });

    const canServe = async () => ready && (await store.isReady());
    const health = createHealth({
      services: products.map(({ typeName }) => typeName),
      isReady: () => isReady(canServe),
    });
    const reflection = config.reflection
      ? createReflection([...products, Health, ...reflections])
      : undefined;
    const reference = createApiReference({
      services: products,
      publicUrl,
      oauth: oauthOf(config, publicUrl),
    });
    const verifyPage = createVerifyPage({
      links: mailLinksOf(config, otp),
      origin: new URL(publicUrl).origin,
      serviceName: identity.serviceName,
      defaultLanguage: config.defaultLanguage,
      isNumeric: config.policy.enrolment.format.alphabet === "digits",
      onError: (err) => log.error({ err }, "the page of a mail's link failed"),
    });
    const pages = createPages({
      ready: canServe,
      extra: new Map([
        ["/verify", verifyPage],
        // The links of older mails.
        ["/not-me", verifyPage],
        ...bounceWebhookOf(config, otp, log),
        ...(metrics ? [["/metrics", metrics.page] as const] : []),
        ...reference.pages,
        ...(mailbox?.pages ?? []),
      ]),
    });
    // Other origins may read these.
    const open = new Map([...reference.public, ["/.well-known/jwks.json", jwksPage(prover.jwks)]]);
    const cors = createCors({ allowedOrigins: config.allowedOrigins });
    const wire = createUserWire(config, {
      log,
      metrics,
      otp,
      events,
      prover,
      publicUrl,
      health,
      reflection,
      takesUtf8: mailer.takesUtf8,
      verifier: verifierOf(config, clock, localIssuer, log),
    });
    handler = (request, response) => {
      // Pages before CORS: no other origin may read them, least of all the mailbox.
      if (pages(request, response) || cors(request, response)) return;
      (pageAt(open, request) ?? wire)(request, response);
    };
    log.info({ origin: server.origin, mode: config.mode }, "listening");
    return {
      origin: server.origin,
      store,
      clock,
      localIssuer,
      storageFailed,
      [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
    };
  } catch (error) {
    await cleanup[Symbol.asyncDispose]();
    throw error;
  }
}

/** Loaded only where it is used: under `serve` there is neither the mailbox nor its code. */
async function openMailbox(clock: Clock, onMail: AppOverrides["onMail"]) {
  const { devMailboxPages, startDevMailbox } = await import("../mail/dev-mailbox/dev-mailbox.ts");
  const mailbox = await startDevMailbox({ clock, onMail });
  return {
    smtpUrl: mailbox.smtpUrl,
    pages: devMailboxPages(mailbox),
    [Symbol.asyncDispose]: () => mailbox[Symbol.asyncDispose](),
  };
}

function verifierOf(config: Config, clock: Clock, localIssuer: LocalIssuer | undefined, log: Log) {
  const { issuers, audience, rolesClaim } = config;
  return createVerifier({
    issuers: localIssuer ? [...issuers, localIssuer] : issuers,
    audience,
    rolesClaim,
    clock,
    onIssuerFailure: (issuer, err) => log.warn({ issuer, err }, "the keys of an issuer cannot be fetched"),
  });
}

/** What the links of mails do. A handle that was not made here does nothing, without a look at the database. */
function mailLinksOf({ trustedProxies }: Config, otp: OTPContext): MailLinks {
  const proxies = parseTrustedProxies(trustedProxies);
  const addressOf = ({ peer, forwardedFor }: Sender) => clientAddressOf(peer, forwardedFor, proxies);
  return {
    purposeOf: claimedPurpose,
    async codeOf(text) {
      const handle = readMailHandle(otp.keys, text);
      return handle && codeOfLink(otp, handle);
    },
    async verify(text, typed, from) {
      const handle = readMailHandle(otp.keys, text);
      return handle ? verifyByLink(otp, handle, { typed, clientAddress: addressOf(from) }) : false;
    },
    async report(text, from) {
      const handle = readMailHandle(otp.keys, text);
      if (handle?.purpose === "login") await reportChallenge(otp, handle.challengeId, addressOf(from));
    },
  };
}

/** Where machines share a database, its clock decides for all of them. */
async function clockOf(store: Store, log: Log, cleanup: CleanupStack): Promise<Clock> {
  if (store.engine === "sqlite") return systemClock;
  const { now } = cleanup.add(
    await openDatabaseClock({
      store,
      onSkew: (skewMs) => log.error({ skewMs }, "the clock of this machine is far from that of the database"),
      onError: (err) => log.warn({ err }, "the database does not tell the time now"),
    }),
  );
  return { ...systemClock, now };
}

/** Not there without a secret. */
function bounceWebhookOf(
  { bounceWebhookSecret: secret }: Config,
  otp: OTPContext,
  log: Log,
): [string, NodeHandler][] {
  if (!secret) return [];
  const webhook = createBounceWebhook({
    secret,
    now: () => otp.clock.now(),
    record: (webhookId, { type, messageId, status }) =>
      recordProviderReport(
        otp,
        webhookId,
        messageId,
        type === "bounce" ? { kind: "failed", status } : { kind: type },
      ),
    onError: (err) => log.error({ err }, "the report of a bounce cannot be recorded"),
  });
  return [["/webhooks/bounces", webhook]];
}

async function backlogOf({ db }: Store, clock: Clock) {
  const { mails, oldestTime } = await readBacklog(db);
  return { mails, oldestMs: oldestTime === undefined ? 0 : Math.max(0, clock.now() - oldestTime) };
}

/** Tokens come from the first issuer that is configured. */
function oauthOf({ oauth, issuers }: Config, publicUrl: string): OAuthEndpoints {
  const base = new URL(issuers[0]?.issuer ?? publicUrl).origin;
  return {
    authorizeUrl: new URL(oauth.authorizeUrl, base).href,
    tokenUrl: new URL(oauth.tokenUrl, base).href,
    scopes: oauth.scopes,
  };
}

interface UserWireParts {
  log: Log;
  metrics: Metrics | undefined;
  otp: OTPContext;
  events: EventFeed;
  prover: Prover;
  publicUrl: string;
  health: HealthService;
  reflection: ReflectionService | undefined;
  /** Whether mails to local parts beyond ASCII would arrive. */
  takesUtf8: () => boolean;
  verifier: ReturnType<typeof createVerifier>;
}

function createUserWire(
  config: Config,
  { log, metrics, otp, events, prover, publicUrl, health, reflection, takesUtf8, verifier }: UserWireParts,
): NodeHandler {
  const linkHosts = config.linkHosts ?? [new URL(publicUrl).host];
  const parsers = createUserParsers(config.policy, takesUtf8);
  const challengeParsers = createChallengeParsers(config.policy, config.proofAudiences);
  const trustedProxies = parseTrustedProxies(config.trustedProxies);
  const onCall = (line: CallLine) => {
    logCall(log, line);
    metrics?.observeCall({ ...line, code: codeName(line.error) });
  };
  return createWire({
    services: [
      bind(UserService, createUserService({ otp, events, parsers, linkHosts })),
      bind(ChallengeService, createChallengeService({ otp, parsers: challengeParsers, prover, linkHosts })),
      bind(Health, health.implementation),
      ...(reflection ? reflections.map((service) => bind(service, reflection.implementation as object)) : []),
    ],
    aliases: publishedPaths,
    rpcOnRestPaths: true,
    errorDomain,
    interceptors: createInterceptors({
      log,
      onCall,
      verifier,
      findUser: (userId) => findUserUntold(otp.store.db, userId),
      isStorageUnavailable,
      rules,
      parsers: {
        ...parsersByMethod(UserService, parsers),
        ...parsersByMethod(ChallengeService, challengeParsers),
      },
      protocolOf,
      clientAddressOf: ({ contextValues, header }) =>
        clientAddressOf(contextValues.get(peerAddress), header.get("x-forwarded-for"), trustedProxies),
      callerOf: ({ contextValues }) => contextValues.get(callEnd),
    }),
    onRefused: ({ method, ...refused }) =>
      onCall({ method: method && `${method.parent.name}.${method.name}`, ...refused }),
  });
}

/** The services of the product. */
const products = [UserService, ChallengeService];

/** Of the same shape: clients ask for the one and then for the other. */
const reflections = [ServerReflection, ServerReflectionV1Alpha];

/** The paths of the published `zitadel.user.v3alpha` service whose messages have the same shape. */
const publishedPaths = {
  "/zitadel.user.v3alpha.UserService/AddOTPEmailAuthenticator": UserService.method.addOTPEmail,
  "/zitadel.user.v3alpha.UserService/VerifyOTPEmailRegistration": UserService.method.verifyOTPEmail,
  "/zitadel.user.v3alpha.UserService/RemoveOTPEmailAuthenticator": UserService.method.removeOTPEmail,
};

function parsersByMethod(
  service: DescService,
  parsers: Readonly<Record<string, unknown>>,
): Record<string, Parser> {
  return Object.fromEntries(
    service.methods.map((method) => [`${service.name}.${method.name}`, parsers[method.localName] as Parser]),
  );
}

/** Disposes in the reverse order. (AsyncDisposableStack begins with Node 24.) */
class CleanupStack implements AsyncDisposable {
  readonly #resources: AsyncDisposable[] = [];

  add<T extends AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let resource = this.#resources.pop(); resource; resource = this.#resources.pop()) {
      await resource[Symbol.asyncDispose]();
    }
  }
}
