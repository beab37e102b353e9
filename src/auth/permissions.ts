import { mayAnywhere, mayIn, type Permission, type Principal } from "./principal.ts";

/** Who may call a method. */
export interface Rule {
  /** Any one of these grants access. */
  readonly anyOf: readonly Permission[];
  /**
   * The organization in which the caller needs the permission:
   * - `user`: the organization of the user in the request.
   * - `organization`: the one in the request.
   * - `organizations`: the one in the request, or any if the request has none.
   */
  readonly target: "user" | "organization" | "organizations";
  /** Whether users (token subject = `user_id`) may also call it for themselves. */
  readonly self: boolean;
}

/**
 * - `granted`: by permission.
 * - `self`: as the user itself. Some options of a method are not available then.
 * - `hidden`: refused with USER_NOT_FOUND, because the caller holds the permission in other organizations.
 * - `denied`: refused with PERMISSION_MISSING, whether or not the user exists.
 */
export type Access = "granted" | "self" | "hidden" | "denied";

/**
 * Checks access to a user. Depends only on the principal and the user's organization (undefined if there is no such
 * user), so the result does not reveal to other callers whether a user exists.
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

/** Checks access to a list over all organizations of the caller. */
export function accessToOwnOrganizations(principal: Principal, rule: Rule): Access {
  return rule.anyOf.some((permission) => mayAnywhere(principal, permission)) ? "granted" : "denied";
}

/** Checks access to an organization. Never `hidden`: whether an organization exists is not a secret. */
export function accessToOrganization(principal: Principal, rule: Rule, orgId: string): Access {
  return rule.anyOf.some((permission) => mayIn(principal, permission, orgId)) ? "granted" : "denied";
}
