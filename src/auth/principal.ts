/** What a caller may do, in one organization or in all. */
export type Permission = "user.read" | "user.write" | "otp.challenge";

const permissions: readonly Permission[] = ["user.read", "user.write", "otp.challenge"];

/** Who calls: the subject of a verified access token, and what that token lets it do. */
export interface Principal {
  /** The `sub` claim, 1 to 200 characters. Unique within its issuer only. */
  readonly subject: string;
  /** The `iss` claim: one of the configured issuers. */
  readonly issuer: string;
  /** By permission: every organization, or the ids of some. A permission without any is not in the map. */
  readonly grants: ReadonlyMap<Permission, "all" | ReadonlySet<string>>;
}

/** Whether the principal holds the permission in that organization. */
export function mayIn(principal: Principal, permission: Permission, orgId: string): boolean {
  const orgs = principal.grants.get(permission);
  return orgs === "all" || (orgs?.has(orgId) ?? false);
}

/** Whether the principal holds the permission in any organization. */
export function mayAnywhere(principal: Principal, permission: Permission): boolean {
  return principal.grants.has(permission);
}

/** The organizations in which the principal holds any of the permissions. */
export function organizationsOf(
  principal: Principal,
  anyOf: readonly Permission[],
): "all" | ReadonlySet<string> {
  const orgIds = new Set<string>();
  for (const permission of anyOf) {
    const orgs = principal.grants.get(permission);
    if (orgs === "all") return "all";
    for (const orgId of orgs ?? []) orgIds.add(orgId);
  }
  return orgIds;
}

/** The claim in which ZITADEL asserts roles: `{ permission: { orgId: anything } }`. */
export const defaultRolesClaim = "urn:zitadel:iam:org:project:roles";

/**
 * Reads the permissions out of verified claims: the `scope` claim (RFC 9068 §2.2.3) grants in all organizations,
 * the roles claim in those that it names. A malformed claim grants nothing, in whole or in the malformed part.
 */
export function grantsOf(claims: Readonly<Record<string, unknown>>, rolesClaim: string): Principal["grants"] {
  const scope = ownValue(claims, "scope");
  const scopes = typeof scope === "string" ? scope.split(" ") : [];
  const roles = ownValue(claims, rolesClaim);
  const grants = new Map<Permission, "all" | ReadonlySet<string>>();
  for (const permission of permissions) {
    if (scopes.includes(permission)) {
      grants.set(permission, "all");
      continue;
    }
    const role = ownValue(roles, permission);
    const orgIds = isRecord(role) ? Object.keys(role).filter(isOneTo200Characters) : [];
    if (orgIds.length > 0) grants.set(permission, new Set(orgIds));
  }
  return grants;
}

/** Whether a text can be a subject: 1 to 200 characters, all of which can be stored and shown. */
export function isSubject(text: string): boolean {
  // Half a surrogate pair is lost on the way to the database, and two subjects could become one there.
  return isOneTo200Characters(text) && !/[\p{Cc}\p{Cs}]/u.test(text);
}

// In characters, as everywhere in the contract, rather than in UTF-16 units.
function isOneTo200Characters(text: string): boolean {
  // A character is at most two units: what is longer than that need not be counted.
  return text !== "" && text.length <= 400 && [...text].length <= 200;
}

// Own keys only: a role named like a method of Object.prototype must not be found there.
function ownValue(value: unknown, key: string): unknown {
  return isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
