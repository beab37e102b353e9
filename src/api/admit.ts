import type { ContextValues, Interceptor, StreamRequest } from "@connectrpc/connect";
import { bearerToken } from "../auth/bearer.ts";
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
import { Refusal } from "../lib/refusal.ts";
import { userNotFound } from "../lib/user-refusals.ts";
import type { User } from "../users/user.ts";
import {
  type AnyRequest,
  accessKey,
  callerKey,
  clientAddressKey,
  type Input,
  inputKey,
  methodName,
  principalKey,
  userKey,
} from "./call-context.ts";
import type { Admissions } from "./methods.ts";

interface AdmitOptions {
  /** Calls of any other method fail. */
  readonly admissions: Admissions;
  readonly verifier: TokenVerifier;
  /** Must take the same time whether or not the user exists. */
  readonly findUser: (userId: string) => Promise<User | undefined>;
  /** The IP address of the client, for the audit log. */
  readonly clientAddressOf: (request: AnyRequest) => string | undefined;
  /** Tells whether the client is still waiting for the reply. */
  readonly callerOf: (request: AnyRequest) => NonNullable<Cause["caller"]>;
}

/**
 * Checks each call before its handler, in this order: authenticated (401), valid (400), authorized (403 or 404). Leaves
 * what it found in the context values, see call-context.ts.
 *
 * It is a single interceptor because each one costs time on every call.
 */
export function admit(options: AdmitOptions): Interceptor {
  const { admissions, verifier, findUser, clientAddressOf, callerOf } = options;
  return (next) => async (request) => {
    const name = methodName(request);
    const admission = admissions[name];
    if (!admission) throw new Error(`${name} is not in a table of methods`);
    if (admission === "public") return next(request);
    const { rule, parse } = admission;
    const { contextValues } = request;
    const principal = await verifier.authenticate(bearerToken(request.header));
    contextValues.set(principalKey, principal);
    contextValues.set(clientAddressKey, clientAddressOf(request));
    contextValues.set(callerKey, callerOf(request));

    if (!request.stream) {
      const input = parse(request.message as never);
      contextValues.set(inputKey, input);
      await authorize(contextValues, principal, rule, input, findUser);
      return next(request);
    }
    const { first, message } = await peekFirst(request);
    // Connect refuses a call without a message.
    if (first !== undefined) {
      const input = parse(first as never);
      contextValues.set(inputKey, input);
      await authorize(contextValues, principal, rule, input, findUser);
    }
    return next({ ...request, message });
  };
}

/** Reads the first message of a server-streaming call, and returns the messages including that one. */
async function peekFirst(request: StreamRequest) {
  if (request.method.methodKind !== "server_streaming")
    throw new Error(`${methodName(request)} takes a stream: only its first message could be checked`);
  const messages = request.message[Symbol.asyncIterator]();
  const { done, value: first } = await messages.next();
  async function* message() {
    if (done) return;
    yield first;
    yield* { [Symbol.asyncIterator]: () => messages };
  }
  return { first: done ? undefined : first, message: message() };
}

/** @throws Refusal PERMISSION_MISSING or USER_NOT_FOUND */
async function authorize(
  contextValues: ContextValues,
  principal: Principal,
  rule: Rule,
  input: Input,
  findUser: AdmitOptions["findUser"],
): Promise<void> {
  let access: Access;
  if (rule.target === "user") {
    const userId = input.userId ?? "";
    access = accessToUser(principal, rule, { userId, orgId: undefined });
    // Don't look up the user for a caller without any access: the timing could reveal whether it exists.
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
    throw new Refusal(
      "PERMISSION_MISSING",
      `the token does not allow this: it needs the permission ${rule.anyOf.join(" or ")} in the organization` +
        (rule.self ? ", or the user_id as its subject" : ""),
    );
  }
  contextValues.set(accessKey, access);
}
