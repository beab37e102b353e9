import { ChallengeService } from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as ServerReflectionV1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health } from "../../gen/health/v1/health_pb.ts";
import { admit } from "../api/admit.ts";
import { createChallengeService } from "../api/challenges/challenge-service.ts";
import { createHealth } from "../api/health.ts";
import { type CallLine, codeName, logCall, logCalls } from "../api/log-calls.ts";
import { type ApiService, servePublic } from "../api/methods.ts";
import { createPageTokens } from "../api/page-token.ts";
import { createReflection } from "../api/reflection.ts";
import { createUserService } from "../api/users/user-service.ts";
import type { Prover } from "../auth/prover.ts";
import { createVerifier } from "../auth/verifier.ts";
import type { Config } from "../config/config.ts";
import { isStorageUnavailable } from "../db/storage-errors.ts";
import { createEventFeed } from "../events/event-feed.ts";
import { clientAddressOf, parseTrustedProxies } from "../http/client-address.ts";
import type { NodeHandler } from "../http/server.ts";
import type { Log } from "../lib/log.ts";
import { errorDomain } from "../lib/refusal.ts";
import type { Metrics } from "../operation/telemetry/metrics.ts";
import type { OTPContext } from "../otp/context.ts";
import { findUserConstantTime } from "../users/user.ts";
import { callEnd, createWire, peerAddress, protocolOf } from "../wire/wire.ts";
import type { Mail } from "./mail.ts";
import type { Secrets } from "./secrets.ts";

/** The services in the API reference. */
export const productServices = [UserService, ChallengeService];

/** Two versions of one service: some clients know only one of them. */
const reflectionServices = [ServerReflection, ServerReflectionV1Alpha];

/** Paths of ZITADEL's `zitadel.user.v3alpha` service with compatible messages. */
const publishedPaths = {
  "/zitadel.user.v3alpha.UserService/AddOTPEmailAuthenticator": UserService.method.addOTPEmail,
  "/zitadel.user.v3alpha.UserService/VerifyOTPEmailRegistration": UserService.method.verifyOTPEmail,
  "/zitadel.user.v3alpha.UserService/RemoveOTPEmailAuthenticator": UserService.method.removeOTPEmail,
};

interface Api {
  /** Serves gRPC, gRPC-Web, Connect and REST. */
  readonly handler: NodeHandler;
  /** Ends all streams, which would delay the shutdown otherwise. */
  stop(): void;
}

interface ApiParts {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics | undefined;
  readonly otp: OTPContext;
  readonly secrets: Secrets;
  readonly mail: Mail;
  readonly prover: Prover;
  readonly publicUrl: string;
  /** Whether calls can be served. Must resolve soon, and not reject. */
  readonly isReady: () => Promise<boolean>;
}

export function createApi(parts: ApiParts): Api {
  const { config, log, metrics, otp, mail, prover, publicUrl, isReady } = parts;
  const events = createEventFeed(otp.store, otp.clock);
  const dependencies = {
    otp,
    events,
    prover,
    takesUtf8: mail.senders.takesUtf8,
    pageTokens: createPageTokens(otp.keys),
    linkHosts: config.linkHosts ?? [new URL(publicUrl).host],
    proofAudiences: config.proofAudiences,
  };
  const health = createHealth({ services: productServices.map(({ typeName }) => typeName), isReady });
  const reflection = config.reflection
    ? createReflection([...productServices, Health, ...reflectionServices])
    : undefined;
  const services: ApiService[] = [
    createUserService(dependencies),
    createChallengeService(dependencies),
    servePublic(Health, health.implementation),
  ];
  if (reflection) {
    for (const service of reflectionServices) services.push(servePublic(service, reflection.implementation));
  }
  const onCall = (line: CallLine) => {
    logCall(log, line);
    const { method, protocol, error, durationMs } = line;
    metrics?.observeCall({ method, protocol, code: codeName(error), durationMs });
  };
  const handler = createWire({
    services: services.map(({ bound }) => bound),
    aliases: publishedPaths,
    rpcOnRestPaths: true,
    errorDomain,
    interceptors: [logCalls({ log, onCall, isStorageUnavailable, protocolOf }), admitCalls(parts, services)],
    onRefused: ({ method, ...refused }) =>
      onCall({ method: method && `${method.parent.name}.${method.name}`, ...refused }),
  });
  return {
    handler,
    stop() {
      health.stop();
      reflection?.stop();
      events.close();
    },
  };
}

function admitCalls(
  { config, log, otp, secrets: { localIssuer } }: ApiParts,
  services: readonly ApiService[],
) {
  const { issuers, audience, rolesClaim } = config;
  const trustedProxies = parseTrustedProxies(config.trustedProxies);
  return admit({
    admissions: Object.assign({}, ...services.map(({ admissions }) => admissions)),
    verifier: createVerifier({
      issuers: localIssuer ? [...issuers, localIssuer] : issuers,
      audience,
      rolesClaim,
      clock: otp.clock,
      onIssuerFailure: (issuer, err) => log.warn({ issuer, err }, "the keys of an issuer cannot be fetched"),
    }),
    findUser: (userId) => findUserConstantTime(otp.store.db, userId),
    clientAddressOf: ({ contextValues, header }) =>
      clientAddressOf(contextValues.get(peerAddress), header.get("x-forwarded-for"), trustedProxies),
    callerOf: ({ contextValues }) => contextValues.get(callEnd),
  });
}
