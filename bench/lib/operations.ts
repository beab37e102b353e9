/** What is called: each call on an address that is fresh, of a user that has room for it. */
export const operations = ["add, code returned", "add, code mailed", "verify"] as const;
export type Operation = (typeof operations)[number];

/** Users of the fresh database, by number. Those who verify have one authenticator each: a verified one has others noticed. */
export const adderCount = 100_000;
export const verifierCount = 150_000;

/** As many authenticators as a user may have: the most that the service can be told. */
export const authenticatorsMax = 100;

export const orgId = "bench-org";
export const userIdOf = (user: number): string => `user-${user}`;
export const addressOf = (count: number): string => `person.${count}@bench.example`;
/** That of a user of a peer whose users have one address each. */
export const ownAddressOf = (user: number): string => `${userIdOf(user)}@bench.example`;
