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

/** A call as interceptors see it. */
export type AnyRequest = UnaryRequest | StreamRequest;

/** Who calls. Set by `admit`, as are all of the following. */
export const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

/** The IP address of the client, where it is known. */
export const clientAddressKey = createContextKey<string | undefined>(undefined, {
  description: "client address",
});

/** Whether the caller still waits for the reply. */
export const callerKey = createContextKey<NonNullable<Cause["caller"]>>(
  { isStopped: false },
  { description: "caller" },
);

/** What the message asks for: what the parser of the method returned. */
export const inputKey = createContextKey<unknown>(undefined, { description: "input" });

/** By what right the caller is let through. */
export const accessKey = createContextKey<Access>("denied", { description: "access" });

/** The user that the message names: one read a call. */
export const userKey = createContextKey<User | undefined>(undefined, { description: "user" });

/** What every parser returns: at least what the call is about, so that it can be authorized. */
export interface Input {
  readonly userId?: string | undefined;
  readonly orgId?: string | undefined;
}

/** `Service.Method`: the same for every protocol and alias. */
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

/** Who asks for a change and from where, for the audit log. */
export function causeOf(context: HandlerContext): Cause {
  return {
    actor: principalOf(context).subject,
    clientAddress: context.values.get(clientAddressKey),
    caller: context.values.get(callerKey),
  };
}

/** Whether the caller may read the addresses of the user: by permission, or as the user itself. */
export function mayReadAddresses(context: HandlerContext, user: User): boolean {
  const principal = principalOf(context);
  if (principal.subject === user.user_id) return true;
  return mayIn(principal, "user.read", user.org_id) || mayIn(principal, "user.write", user.org_id);
}

/**
 * The user that the message names.
 *
 * @throws Refusal USER_NOT_FOUND
 */
export function requireUser(context: HandlerContext): User {
  const user = context.values.get(userKey);
  if (!user) throw userNotFound();
  return user;
}
