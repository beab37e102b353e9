import { mayAnywhere, mayIn, type Permission, type Principal } from "./principal.ts";

/** Who may call a method. */
export interface Rule {
  /** Any of these in the organization lets everything through. */
  readonly anyOf: readonly Permission[];
  /**
   * Whose organization: that of the user that the message names, or the one that it names itself. `organizations`: the
   * one that it names, or else all in which the caller has a permission.
   */
  readonly target: "user" | "organization" | "organizations";
  /** Whether the user itself (token subject = `user_id`) may call it too. */
  readonly self: boolean;
}

/**
 * - `granted`: by permission.
 * - `self`: as the user itself, who may not do everything.
 * - `hidden`: no, and the caller has the permission elsewhere: it is told that there is no such user.
 * - `denied`: no, whether or not the user exists.
 */
export type Access = "granted" | "self" | "hidden" | "denied";

/**
 * Decides by the principal alone, and by the organization of the user (undefined where there is no such user), so
 * that the answer tells a stranger nothing.
 */
export function accessToUser(
  principal: Principal,
  rule: Rule,
  user: { userId: string; orgId: string | undefined },
): Access {
  const { orgId, userId } = user;
  if (orgId !== undefined && rule.anyOf.some((permission) => mayIn(principal, permission, orgId))) {
    return "granted";
  }
  if (rule.self && principal.subject === userId) return "self";
  return rule.anyOf.some((permission) => mayAnywhere(principal, permission)) ? "hidden" : "denied";
}

/** To whatever the caller has, in any organization. */
export function accessToOwnOrganizations(principal: Principal, rule: Rule): Access {
  return rule.anyOf.some((permission) => mayAnywhere(principal, permission)) ? "granted" : "denied";
}

/** Organizations are not hidden: a caller names its own. */
export function accessToOrganization(principal: Principal, rule: Rule, orgId: string): Access {
  return rule.anyOf.some((permission) => mayIn(principal, permission, orgId)) ? "granted" : "denied";
}
