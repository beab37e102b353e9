import type { DescMethod } from "@bufbuild/protobuf";
import {
  createContextKey,
  type HandlerContext,
  type StreamRequest,
  type UnaryRequest,
} from "@connectrpc/connect";
import type { Access } from "../auth/permissions.ts";
import { mayIn, type Principal } from "../auth/principal.ts";
import type { Cause } from "../events/event.ts";
import { userNotFound } from "../lib/user-refusals.ts";
import type { User } from "../users/user.ts";

/** A call, as interceptors get it. */
export type AnyRequest = UnaryRequest | StreamRequest;

// The context values, all set by `admit`.

/** The authenticated caller. */
export const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

/** The IP address of the client, if it is known. */
export const clientAddressKey = createContextKey<string | undefined>(undefined, {
  description: "client address",
});

/** Tells whether the client is still waiting for the reply. */
export const callerKey = createContextKey<NonNullable<Cause["caller"]>>(
  { isStopped: false },
  { description: "caller" },
);

/** The result of the method's parser. */
export const inputKey = createContextKey<unknown>(undefined, { description: "input" });

/** Whether the caller was admitted by a permission, or as the user itself. */
export const accessKey = createContextKey<Access>("denied", { description: "access" });

/** The user of the request, so that it is read once per call. */
export const userKey = createContextKey<User | undefined>(undefined, { description: "user" });

/** What each parser returns, at least: the user or organization that the caller needs access to. */
export interface Input {
  readonly userId?: string | undefined;
  readonly orgId?: string | undefined;
}

/** `Service.Method`, the same for all protocols and aliases. */
export function methodName({ method }: AnyRequest): string {
  const known = methodNames.get(method);
  if (known !== undefined) return known;
  const name = `${method.parent.name}.${method.name}`;
  methodNames.set(method, name);
  return name;
}

const methodNames = new WeakMap<DescMethod, string>();

export function principalOf(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (!principal) throw new Error("a method ran without a principal");
  return principal;
}

/** The actor of a change, for the audit log. */
export function causeOf(context: HandlerContext): Cause {
  return {
    actor: principalOf(context).subject,
    clientAddress: context.values.get(clientAddressKey),
    caller: context.values.get(callerKey),
  };
}

/** Whether the caller may read the user's email addresses: with a permission, or as the user itself. */
export function mayReadAddresses(context: HandlerContext, user: User): boolean {
  const principal = principalOf(context);
  if (principal.subject === user.user_id) return true;
  return mayIn(principal, "user.read", user.org_id) || mayIn(principal, "user.write", user.org_id);
}

/**
 * Returns the user of the request.
 *
 * @throws Refusal USER_NOT_FOUND
 */
export function requireUser(context: HandlerContext): User {
  const user = context.values.get(userKey);
  if (!user) throw userNotFound();
  return user;
}
