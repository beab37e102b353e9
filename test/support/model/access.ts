import { Refused, settings, type User, type World } from "./world.ts";

export type Permission = "user.read" | "user.write" | "otp.challenge";

/** A caller, described by its token. */
export interface Caller {
  readonly subject: string;
  /** The organization of the permissions. All organizations if undefined. */
  readonly orgId: string | undefined;
  readonly permissions: readonly Permission[];
  readonly token: "valid" | "expired" | "none";
}

/** By name. `self` is the user in the request. */
export const callers = {
  admin: { permissions: ["user.write"] },
  adminOfO1: { permissions: ["user.write"], orgId: "o1" },
  adminOfO2: { permissions: ["user.write"], orgId: "o2" },
  reader: { permissions: ["user.read"] },
  readerOfO1: { permissions: ["user.read"], orgId: "o1" },
  challenger: { permissions: ["otp.challenge"] },
  challengerOfO2: { permissions: ["otp.challenge"], orgId: "o2" },
  all: { permissions: ["user.read", "user.write", "otp.challenge"] },
  self: { permissions: [] },
  u1: { permissions: [] },
  noPermission: { permissions: [] },
  expired: { permissions: ["user.write", "otp.challenge"], token: "expired" },
  anonymous: { permissions: [], token: "none" },
} as const satisfies Record<
  string,
  { permissions: readonly Permission[]; orgId?: string; token?: Caller["token"] }
>;

export type CallerName = keyof typeof callers;

export function callerOf(name: CallerName, userId: string): Caller {
  const {
    permissions,
    orgId,
    token,
  }: { permissions: readonly Permission[]; orgId?: string; token?: Caller["token"] } = callers[name];
  return { subject: name === "self" ? userId || "u1" : name, permissions, orgId, token: token ?? "valid" };
}

export function authenticate({ token }: Caller): void {
  if (token === "none") throw new Refused("Unauthenticated", "TOKEN_MISSING");
  if (token === "expired") throw new Refused("Unauthenticated", "TOKEN_EXPIRED");
}

export function mayIn(
  { permissions, orgId }: Caller,
  anyOf: readonly Permission[],
  inOrgId: string,
): boolean {
  return hasAny({ permissions }, anyOf) && (orgId === undefined || orgId === inOrgId);
}

export function hasAny({ permissions }: Pick<Caller, "permissions">, anyOf: readonly Permission[]): boolean {
  return anyOf.some((permission) => permissions.includes(permission));
}

export const denied = () => new Refused("PermissionDenied", "PERMISSION_MISSING");
export const userNotFound = () => new Refused("NotFound", "USER_NOT_FOUND");

/**
 * A caller with a permission in another organization gets 404, one without gets 403, whether or not the user exists.
 *
 * @param checkSelf refuses what needs a permission if the caller is admitted as the user itself. This is part of
 *   authorization, so it comes before checking whether the user exists.
 */
export function authorize(
  world: World,
  caller: Caller,
  userId: string,
  { anyOf, self, checkSelf }: { anyOf: readonly Permission[]; self?: boolean; checkSelf?: () => void },
): { user: User; asSelf: boolean } {
  const user = world.users.find((other) => other.userId === userId);
  if (user && mayIn(caller, anyOf, user.orgId)) return { user, asSelf: false };
  if (self && caller.subject === userId) {
    checkSelf?.();
    if (!user) throw userNotFound();
    return { user, asSelf: true };
  }
  throw hasAny(caller, anyOf) ? userNotFound() : denied();
}

export function requireActive({ state }: User): void {
  if (state !== "active") throw new Refused("FailedPrecondition", "USER_NOT_ACTIVE");
}

/** The host that users may use in a link. */
export const ownHost = new URL(settings.publicUrl).host;
