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

/** Every method that is served, by `Service.Method`. A method that is not here cannot be called. */
export const rules: Readonly<Record<string, Rule | "public">> = {
  // Load balancers have no token, and the contract is no secret.
  "Health.Check": "public",
  "Health.List": "public",
  "Health.Watch": "public",
  "ServerReflection.ServerReflectionInfo": "public",
  "UserService.AddOTPEmail": { anyOf: ["user.write"], target: "user", self: true },
  "UserService.VerifyOTPEmail": { anyOf: ["user.write"], target: "user", self: true },
  "UserService.ResendOTPEmailCode": { anyOf: ["user.write"], target: "user", self: true },
  // With otp.challenge alone the addresses are masked.
  "UserService.ListOTPEmails": {
    anyOf: ["user.read", "user.write", "otp.challenge"],
    target: "user",
    self: true,
  },
  "UserService.GetOTPEmail": {
    anyOf: ["user.read", "user.write", "otp.challenge"],
    target: "user",
    self: true,
  },
  "UserService.RemoveOTPEmail": { anyOf: ["user.write"], target: "user", self: true },
  "UserService.UnlockOTPEmail": { anyOf: ["user.write"], target: "user", self: false },
  "UserService.CreateUser": { anyOf: ["user.write"], target: "organization", self: false },
  "UserService.GetUserByID": { anyOf: ["user.read", "user.write"], target: "user", self: true },
  "UserService.ListUsers": { anyOf: ["user.read", "user.write"], target: "organizations", self: false },
  "UserService.DeactivateUser": { anyOf: ["user.write"], target: "user", self: false },
  "UserService.ReactivateUser": { anyOf: ["user.write"], target: "user", self: false },
  "UserService.LockUser": { anyOf: ["user.write"], target: "user", self: false },
  "UserService.UnlockUser": { anyOf: ["user.write"], target: "user", self: false },
  // Not the user itself: the trail tells where administrators call from, and why.
  "UserService.ListEvents": { anyOf: ["user.read", "user.write"], target: "user", self: false },
  "UserService.WatchEvents": { anyOf: ["user.read", "user.write"], target: "organizations", self: false },
  "UserService.DeleteUser": { anyOf: ["user.write"], target: "user", self: false },
  // Not user.write: who manages users does not sign them in.
  "ChallengeService.CreateOTPEmailChallenge": { anyOf: ["otp.challenge"], target: "user", self: true },
  "ChallengeService.VerifyOTPEmailChallenge": { anyOf: ["otp.challenge"], target: "user", self: true },
  "ChallengeService.GetOTPEmailChallenge": { anyOf: ["otp.challenge"], target: "user", self: true },
  "ChallengeService.CancelOTPEmailChallenge": { anyOf: ["otp.challenge"], target: "user", self: true },
};

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
