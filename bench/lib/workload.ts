/** The measured calls. Each is made for a new address, of a user that may add one more. */
export const operations = ["add, code returned", "add, code mailed", "verify"] as const;
export type Operation = (typeof operations)[number];

/** Users of a new database who add addresses. */
export const adderCount = 100_000;
/** Users who verify one. They have no other address: a user with verified ones is notified of each new one. */
export const verifierCount = 150_000;

/** Authenticators a user may have: the maximum of COUNTERSIGN_OTP_EMAILS_MAX. */
export const authenticatorsMax = 100;

export const orgId = "bench-org";
export const userIdPrefix = "user-";
export const userIdOf = (user: number): string => `${userIdPrefix}${user}`;
export const addressOf = (count: number): string => `person.${count}@bench.example`;
/** The one address of a user of better-auth. */
export const ownAddressOf = (user: number): string => `${userIdOf(user)}@bench.example`;
