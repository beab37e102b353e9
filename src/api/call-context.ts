import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Access } from "../auth/permissions.ts";
import { mayIn, type Principal } from "../auth/principal.ts";
import type { Cause } from "../events/event.ts";
import { userNotFound } from "../lib/user-refusals.ts";
import type { User } from "../users/user.ts";

/** Who calls. Set by the interceptor `authenticate`. */
export const principalKey = createContextKey<Principal | undefined>(undefined, { description: "principal" });

/** The IP address of the client, where it is known. Set by the interceptor `authenticate`. */
export const clientAddressKey = createContextKey<string | undefined>(undefined, {
  description: "client address",
});

/** Whether somebody still waits for the reply. Set by the interceptor `admit`. */
export const callerKey = createContextKey<NonNullable<Cause["caller"]>>(
  { isStopped: false },
  { description: "caller" },
);

/** What the message asks for. Set by the interceptor `validate`, which calls the parser of the method. */
export const inputKey = createContextKey<unknown>(undefined, { description: "input" });

/** By what right the caller is let through. Set by the interceptor `authorize`. */
export const accessKey = createContextKey<Access>("denied", { description: "access" });

/** The user that the message names. Set by the interceptor `authorize`: one read a call. */
export const userKey = createContextKey<User | undefined>(undefined, { description: "user" });

/** What a parser made of a message: at least what the call is about, so that it can be authorized. */
export interface Input {
  readonly userId?: string | undefined;
  readonly orgId?: string | undefined;
}

/** Turns a message into what it asks for, or throws INVALID_ARGUMENT. Pure, so that it runs before the first read. */
export type Parser = (message: never) => Input;

/** What the parser of this very method made of the message. */
export function inputOf<P extends Parser>(context: HandlerContext, _parser: P): ReturnType<P> {
  return context.values.get(inputKey) as ReturnType<P>;
}

export function principalOf(context: HandlerContext): Principal {
  const principal = context.values.get(principalKey);
  if (!principal) throw new Error("a method ran without a principal");
  return principal;
}

/** Who asks for a change and from where, for the trail. */
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

/** The user that the message names, who must exist. */
export function requireUser(context: HandlerContext): User {
  const user = context.values.get(userKey);
  if (!user) throw userNotFound();
  return user;
}
