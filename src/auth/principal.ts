/** A permission, held in some organizations or in all of them. */
export type Permission = "user.read" | "user.write" | "otp.challenge";

const permissions: readonly Permission[] = ["user.read", "user.write", "otp.challenge"];

/** The authenticated caller: the subject of a verified access token and its permissions. */
export interface Principal {
  /** The `sub` claim, 1 to 200 characters, unique per issuer. */
  readonly subject: string;
  /** The `iss` claim: one of the configured issuers. */
  readonly issuer: string;
  /** The organizations of each permission: all, or a set of ids that is never empty. */
  readonly grants: ReadonlyMap<Permission, "all" | ReadonlySet<string>>;
}

/** Whether the principal holds the permission in an organization. */
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
 * Reads permissions from verified claims. The `scope` claim (RFC 9068 §2.2.3) grants them in all organizations, the
 * roles claim in the ones it lists. Malformed parts of a claim grant nothing.
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

/** Whether a string can be a subject: 1 to 200 characters without controls or lone surrogates. */
export function isSubject(text: string): boolean {
  // The database replaces lone surrogates, which could make two subjects equal.
  return isOneTo200Characters(text) && !/[\p{Cc}\p{Cs}]/u.test(text);
}

// Code points, as everywhere in the API, not UTF-16 code units.
function isOneTo200Characters(text: string): boolean {
  // A code point takes at most two code units, so longer strings need no counting.
  return text !== "" && text.length <= 400 && [...text].length <= 200;
}

// Own keys only: a role could have the name of an Object.prototype method.
function ownValue(value: unknown, key: string): unknown {
  return isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
