import { randomUUID } from "node:crypto";
import type { DescMethod } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
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
import type { Cause } from "../events/event.ts";
import { internal, permissionDenied, reasonOf, unavailable } from "../lib/errors.ts";
import type { Log } from "../lib/log.ts";
import { userNotFound } from "../lib/user-refusals.ts";
import type { User } from "../users/user.ts";
import {
  accessKey,
  callerKey,
  clientAddressKey,
  type Input,
  inputKey,
  type Parser,
  principalKey,
  userKey,
} from "./call-context.ts";

export interface InterceptorOptions {
  readonly log: Log;
  /** Told of each call that has ended, in the place of the log. */
  readonly onCall?: (line: CallLine) => void;
  readonly verifier: TokenVerifier;
  readonly findUser: (userId: string) => Promise<User | undefined>;
  /** Whether an error says that the storage could not be reached, or was busy for too long. */
  readonly isStorageUnavailable: (error: unknown) => boolean;
  /** By `Service.Method`. A method without a rule is refused, and one without a parser, unless it is public. */
  readonly rules: Readonly<Record<string, Rule | "public">>;
  readonly parsers: Readonly<Record<string, Parser>>;
  /** The protocol that a call came by, for the log. */
  readonly protocolOf: (request: AnyRequest) => string;
  /** Where a call comes from, for the trail of events. */
  readonly clientAddressOf: (request: AnyRequest) => string | undefined;
  /** Tells whether somebody still waits for the reply. */
  readonly callerOf: (request: AnyRequest) => NonNullable<Cause["caller"]>;
}

type AnyRequest = UnaryRequest | StreamRequest;

/** What every call passes. Two layers and not one for each check: a layer costs 1 us. */
export function createInterceptors(options: InterceptorOptions): Interceptor[] {
  return [logCalls(options), admit(options)];
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
  const code = codeName(error);
  const reason = error && reasonOf(error);
  log.info(
    { method, protocol, code, reason, durationMs: Math.round(durationMs * 1000) / 1000, subject },
    "call",
  );
}

export function codeName(error: ConnectError | undefined): string {
  return error ? (Code[error.code] ?? "Unknown") : "OK";
}

/** Tells of each call, and is the last place where an unforeseen error becomes one that may be told (ASVS 16.5.4). */
function logCalls(options: InterceptorOptions): Interceptor {
  const { log, protocolOf, isStorageUnavailable, onCall = (line) => logCall(log, line) } = options;
  return (next) => async (request) => {
    const start = performance.now();
    let isOver = false;
    const logEnd = (error?: ConnectError) => {
      if (isOver) return;
      isOver = true;
      onCall({
        method: methodName(request),
        protocol: protocolOf(request),
        error,
        durationMs: performance.now() - start,
        subject: request.contextValues.get(principalKey)?.subject,
      });
    };
    const fail = (thrown: unknown) => {
      const error = toTellable(thrown, log, isStorageUnavailable);
      logEnd(error);
      return error;
    };
    try {
      const response = await next(request);
      if (response.stream)
        return { ...response, message: untilEnd(response.message, request.signal, logEnd, fail) };
      logEnd();
      return response;
    } catch (thrown) {
      throw fail(thrown);
    }
  };
}

/** A stream is over when it has ended, failed, or nobody takes it any more. */
async function* untilEnd<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  logEnd: (error?: ConnectError) => void,
  fail: (thrown: unknown) => ConnectError,
): AsyncGenerator<T> {
  // A method that does not notice, or then ends as if nothing were, is over all the same.
  const stop = () => logEnd(ConnectError.from(signal.reason, Code.Canceled));
  signal.addEventListener("abort", stop);
  try {
    if (signal.aborted) stop();
    yield* messages;
    logEnd();
  } catch (thrown) {
    throw fail(thrown);
  } finally {
    signal.removeEventListener("abort", stop);
    // Of a stream that has ended the line is there already.
    logEnd(new ConnectError("the client went away", Code.Canceled));
  }
}

/** Lets a call through that is authenticated (401), valid (400) and authorized (403, 404): checked in this order. */
function admit(options: InterceptorOptions): Interceptor {
  const { rules, parsers, verifier, findUser, clientAddressOf, callerOf } = options;
  return (next) => async (request) => {
    const name = methodName(request);
    const rule = rules[name];
    if (rule === "public") return next(request);
    const parser = parsers[name];
    if (!rule || !parser) throw new Error(`${name} has no rule in auth/permissions.ts, or no parser`);
    const { contextValues } = request;
    const principal = await requirePrincipal(request, verifier);
    contextValues.set(principalKey, principal);
    contextValues.set(clientAddressKey, clientAddressOf(request));
    contextValues.set(callerKey, callerOf(request));

    if (!request.stream) {
      const input = parser(request.message as never);
      contextValues.set(inputKey, input);
      await requireAccess(contextValues, { principal, rule, input }, findUser);
      return next(request);
    }
    const { first, message } = await readFirst(request);
    // Without a message there is no call: connect refuses it.
    if (first !== undefined) {
      const input = parser(first as never);
      contextValues.set(inputKey, input);
      await requireAccess(contextValues, { principal, rule, input }, findUser);
    }
    return next({ ...request, message });
  };
}

/** Looks at the first message of a stream, which stays in it: the only one, if just the reply streams. */
async function readFirst(request: StreamRequest) {
  if (request.method.methodKind !== "server_streaming")
    throw new Error(
      `${methodName(request)} takes a stream, of which only the first message could be checked`,
    );
  const messages = request.message[Symbol.asyncIterator]();
  const { done, value: first } = await messages.next();
  async function* message() {
    if (done) return;
    yield first;
    yield* { [Symbol.asyncIterator]: () => messages };
  }
  return { first: done ? undefined : first, message: message() };
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

interface Attempt {
  readonly principal: Principal;
  readonly rule: Rule;
  readonly input: Input;
}

async function requireAccess(
  contextValues: ContextValues,
  { principal, rule, input }: Attempt,
  findUser: InterceptorOptions["findUser"],
): Promise<void> {
  let access: Access;
  if (rule.target === "user") {
    const userId = input.userId ?? "";
    access = accessToUser(principal, rule, { userId, orgId: undefined });
    // Whoever may do this to nobody is refused without a look: the time of a look would tell who exists (T17).
    if (access !== "denied") {
      const user = await findUser(userId);
      contextValues.set(userKey, user);
      access = accessToUser(principal, rule, { userId, orgId: user?.org_id });
    }
  } else if (rule.target === "organizations" && input.orgId === undefined) {
    access = accessToOwnOrganizations(principal, rule);
  } else {
    access = accessToOrganization(principal, rule, input.orgId ?? "");
  }
  if (access === "hidden") throw userNotFound();
  if (access === "denied") {
    throw permissionDenied(
      `the token does not allow this: it needs the permission ${rule.anyOf.join(" or ")} in the organization` +
        (rule.self ? ", or the user_id as its subject" : ""),
    );
  }
  contextValues.set(accessKey, access);
}

const methodNames = new WeakMap<DescMethod, string>();

/** `Service.Method`: the same for every protocol and alias. */
function methodName({ method }: AnyRequest): string {
  const known = methodNames.get(method);
  if (known !== undefined) return known;
  const name = `${method.parent.name}.${method.name}`;
  methodNames.set(method, name);
  return name;
}

function toTellable(
  thrown: unknown,
  log: Log,
  isStorageUnavailable: InterceptorOptions["isStorageUnavailable"],
): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  // A write was not begun, as its caller had gone.
  if (thrown instanceof Error && thrown.name === "AbortError") return ConnectError.from(thrown);
  if (isStorageUnavailable(thrown)) {
    log.error({ err: thrown }, "the database did not answer");
    return unavailable("STORAGE_UNAVAILABLE", "the service cannot reach its storage: try again", 1_000);
  }
  const correlationId = randomUUID();
  log.error({ err: thrown, correlationId }, "a call failed unexpectedly");
  return internal(correlationId, thrown);
}
