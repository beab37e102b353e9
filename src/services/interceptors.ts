import { randomUUID } from "node:crypto";
import {
  Code,
  ConnectError,
  type Interceptor,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import { bearerChallenge, bearerToken } from "../auth/bearer.ts";
import {
  type Access,
  accessToOrganization,
  accessToOwnOrganizations,
  accessToUser,
  type Rule,
} from "../auth/permissions.ts";
import type { Principal } from "../auth/principal.ts";
import type { TokenVerifier } from "../auth/verifier.ts";
import { internal, permissionDenied, reasonOf, unavailable } from "../errors.ts";
import type { Log } from "../log.ts";
import { userNotFound } from "../user/refusals.ts";
import type { User } from "../user/user.ts";
import {
  accessKey,
  clientAddressKey,
  type Input,
  inputKey,
  type Parser,
  principalKey,
  userKey,
} from "./call.ts";

export interface InterceptorOptions {
  readonly log: Log;
  readonly verifier: TokenVerifier;
  readonly findUser: (userId: string) => Promise<User | undefined>;
  /** Whether an error says that the storage could not be reached, or was busy for too long. */
  readonly isStorageUnavailable: (error: unknown) => boolean;
  /** By `Service.Method`. A method without a rule or a parser is refused. */
  readonly rules: Readonly<Record<string, Rule>>;
  readonly parsers: Readonly<Record<string, Parser>>;
  /** The protocol that a call came by, for the log. */
  readonly protocolOf: (request: AnyRequest) => string;
  /** Where a call comes from, for the trail of events. */
  readonly clientAddressOf: (request: AnyRequest) => string | undefined;
}

type AnyRequest = UnaryRequest | StreamRequest;

/** What every call passes, in this order: log, authenticate (401), validate (400), authorize (403, 404). */
export function createInterceptors(options: InterceptorOptions): Interceptor[] {
  return [logCalls(options), authenticate(options), validate(options), authorize(options)];
}

/** What is logged of a call. No address, code, token or key. */
export interface CallLine {
  /** `Service.Method`, or undefined where none was found. */
  readonly method: string | undefined;
  readonly protocol: string;
  /** Undefined: it went well. */
  readonly error?: ConnectError;
  readonly durationMs: number;
  /** The subject of the token. */
  readonly subject?: string | undefined;
}

/** The one line of a call: also of one that was refused before it came to the interceptors. */
export function logCall(log: Log, { method, protocol, error, durationMs, subject }: CallLine): void {
  const code = error ? Code[error.code] : "OK";
  const reason = error && reasonOf(error);
  log.info(
    { method, protocol, code, reason, durationMs: Math.round(durationMs * 1000) / 1000, subject },
    "call",
  );
}

/** Logs each call, and is the last place where an unforeseen error becomes one that may be told (ASVS 16.5.4). */
function logCalls({ log, protocolOf, isStorageUnavailable }: InterceptorOptions): Interceptor {
  return (next) => async (request) => {
    const start = performance.now();
    const logEnd = (error?: ConnectError) =>
      logCall(log, {
        method: methodName(request),
        protocol: protocolOf(request),
        error,
        durationMs: performance.now() - start,
        subject: request.contextValues.get(principalKey)?.subject,
      });
    try {
      const response = await next(request);
      logEnd();
      return response;
    } catch (thrown) {
      const error = toTellable(thrown, log, isStorageUnavailable);
      logEnd(error);
      throw error;
    }
  };
}

function authenticate({ verifier, clientAddressOf }: InterceptorOptions): Interceptor {
  return (next) => async (request) => {
    request.contextValues.set(clientAddressKey, clientAddressOf(request));
    request.contextValues.set(principalKey, await requirePrincipal(request, verifier));
    return next(request);
  };
}

async function requirePrincipal(request: AnyRequest, verifier: TokenVerifier): Promise<Principal> {
  try {
    return await verifier.authenticate(bearerToken(request.header));
  } catch (error) {
    if (error instanceof ConnectError && error.code === Code.Unauthenticated) {
      // RFC 6750 §3.1: no error code where the request had no credentials at all.
      const code = reasonOf(error) === "TOKEN_MISSING" ? undefined : "invalid_token";
      error.metadata.set("www-authenticate", bearerChallenge("countersign", code));
    }
    throw error;
  }
}

function validate({ parsers }: InterceptorOptions): Interceptor {
  return (next) => async (request) => {
    const parser = parsers[methodName(request)];
    if (!parser || request.stream) throw new Error(`${methodName(request)} has no parser`);
    request.contextValues.set(inputKey, parser(request.message as never));
    return next(request);
  };
}

function authorize({ rules, findUser }: InterceptorOptions): Interceptor {
  return (next) => async (request) => {
    const rule = rules[methodName(request)];
    if (!rule) throw new Error(`${methodName(request)} has no rule in auth/permissions.ts`);
    const access = await findAccess(request, rule, findUser);
    if (access === "hidden") throw userNotFound();
    if (access === "denied") {
      throw permissionDenied(
        `the token does not allow this: it needs the permission ${rule.anyOf.join(" or ")} in the organization` +
          (rule.self ? ", or the user_id as its subject" : ""),
      );
    }
    request.contextValues.set(accessKey, access);
    return next(request);
  };
}

async function findAccess(
  request: AnyRequest,
  rule: Rule,
  findUser: InterceptorOptions["findUser"],
): Promise<Access> {
  const principal = request.contextValues.get(principalKey);
  const input = request.contextValues.get(inputKey) as Input | undefined;
  if (!principal || !input) throw new Error("authorize runs after authenticate and validate");
  if (rule.target === "organizations" && input.orgId === undefined) {
    return accessToOwnOrganizations(principal, rule);
  }
  if (rule.target !== "user") return accessToOrganization(principal, rule, input.orgId ?? "");

  const userId = input.userId ?? "";
  // Whoever may do this to nobody is refused without a look: the time of a look would tell who exists (T17).
  if (accessToUser(principal, rule, { userId, orgId: undefined }) === "denied") return "denied";
  const user = await findUser(userId);
  request.contextValues.set(userKey, user);
  return accessToUser(principal, rule, { userId, orgId: user?.org_id });
}

/** `Service.Method`: the same for every protocol and alias. */
function methodName(request: AnyRequest): string {
  return `${request.service.name}.${request.method.name}`;
}

function toTellable(
  thrown: unknown,
  log: Log,
  isStorageUnavailable: InterceptorOptions["isStorageUnavailable"],
): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (isStorageUnavailable(thrown)) {
    log.error({ err: thrown }, "the database did not answer");
    return unavailable("STORAGE_UNAVAILABLE", "the service cannot reach its storage: try again", 1_000);
  }
  const correlationId = randomUUID();
  log.error({ err: thrown, correlationId }, "a call failed unexpectedly");
  return internal(correlationId, thrown);
}
