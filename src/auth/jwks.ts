import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import type { Clock } from "../lib/clock.ts";
import { Refusal } from "../lib/refusal.ts";
import { dayMs, minuteMs, secondMs } from "../lib/time.ts";
import { checkUrl, fetchJwks } from "./fetch-jwks.ts";

/** Returns the key for the header of a token. While the keys of an issuer don't change, it is the same object. */
export type KeySet = ReturnType<typeof createLocalJWKSet>;

/** The keys of one issuer. */
export interface IssuerKeys {
  /**
   * The keys to verify a token with. Fetches them if they are due.
   *
   * @throws Refusal ISSUER_UNAVAILABLE if there are none.
   */
  current(): Promise<KeySet>;
  /** The same without fetching: undefined if the keys are due, or if there are none. */
  ifFresh(): KeySet | undefined;
  /** Looks for a key that is not in `known`. Returns newer keys, or `known` if there are none or it is too soon to ask. */
  newerThan(known: KeySet): Promise<KeySet>;
}

/** Keys from the configuration. */
export function fixedKeys(jwks: JSONWebKeySet): IssuerKeys {
  const keys = createLocalJWKSet(jwks);
  return { current: async () => keys, ifFresh: () => keys, newerThan: async () => keys };
}

interface RemoteKeysOptions {
  readonly issuer: string;
  /** If undefined, it is looked up in the metadata of the issuer each time the keys are fetched. */
  readonly jwksUri?: string | undefined;
  readonly clock: Clock;
  /** Called after each failed fetch, for the log. Must not throw. The error does not quote the token. */
  readonly onFailure?: ((issuer: string, error: Error) => void) | undefined;
}

const freshMs = 10 * minuteMs;
const keptMs = dayMs;
const pauseMs = 30 * secondMs;
// Shorter: without keys every call fails, and an issuer that starts along with this process is up within seconds.
const pauseWithoutKeysMs = 5 * secondMs;
const fetchTimeoutMs = 5 * secondMs;

/**
 * Keys that an issuer publishes over HTTP.
 *
 * - Keys older than 10 minutes are fetched again before use, so that a removed key is refused after that time.
 * - A token with an unknown key triggers a fetch, at most one every 30 seconds.
 * - While the issuer is unreachable, the last keys remain in use for up to 24 hours, and calls don't wait for it.
 * - Concurrent calls share one fetch, which takes at most 5 seconds including discovery.
 *
 * jose's createRemoteJWKSet drops keys that are due if it cannot fetch new ones, and takes no clock.
 *
 * @throws if the URL is neither https, nor http on a loopback host.
 */
export function remoteKeys({ issuer, jwksUri, clock, onFailure }: RemoteKeysOptions): IssuerKeys {
  if (jwksUri === undefined) checkUrl("issuer", issuer);
  else checkUrl("jwksUri", jwksUri);
  let fetched: { readonly keys: KeySet; readonly text: string; readonly atMs: number } | undefined;
  let failure: Error | undefined;
  let attemptAtMs: number | undefined;
  let pending: Promise<void> | undefined;

  // If the clock was set back, keys are due at once instead of being fresh for longer.
  const isFresh = () => fetched !== undefined && isWithin(clock.now() - fetched.atMs, freshMs);
  const isUsable = () => fetched !== undefined && Math.abs(clock.now() - fetched.atMs) < keptMs;

  function untilNextAttemptMs(): number {
    const sinceMs = attemptAtMs === undefined ? Number.POSITIVE_INFINITY : clock.now() - attemptAtMs;
    const wantedMs = isUsable() ? pauseMs : pauseWithoutKeysMs;
    return isWithin(sinceMs, wantedMs) ? wantedMs - sinceMs : 0;
  }

  /** Fetches the keys, unless it is too soon. Resolves when that has succeeded or failed, and never rejects. */
  async function refresh(): Promise<void> {
    if (pending === undefined && untilNextAttemptMs() > 0) return;
    pending ??= fetchKeys().finally(() => {
      pending = undefined;
    });
    await pending;
  }

  async function fetchKeys(): Promise<void> {
    const atMs = clock.now();
    attemptAtMs = atMs;
    try {
      const text = await withDeadline(clock, fetchTimeoutMs, (signal) => fetchJwks(issuer, jwksUri, signal));
      // Keep the object if the keys are the same, so that tokens verified with them stay cached.
      fetched = { keys: fetched?.text === text ? fetched.keys : parseKeys(text), text, atMs };
      failure = undefined;
    } catch (cause) {
      failure = new Error(`the keys of the issuer ${issuer} cannot be fetched`, { cause });
      onFailure?.(issuer, failure);
    }
  }

  return {
    async current() {
      if (!isFresh()) {
        const refreshed = refresh();
        // Don't wait for an issuer that is down if the last keys will do.
        if (failure === undefined || !isUsable()) await refreshed;
      }
      if (fetched !== undefined && isUsable()) return fetched.keys;
      throw new Refusal(
        "ISSUER_UNAVAILABLE",
        "the issuer of the access token cannot be reached to check it: try again later with the same token",
        { retryAfterMs: untilNextAttemptMs(), cause: failure },
      );
    },
    ifFresh: () => (isFresh() ? fetched?.keys : undefined),
    async newerThan(known) {
      if (fetched?.keys === known) await refresh();
      return fetched?.keys ?? known;
    },
  };
}

function parseKeys(text: string): KeySet {
  const keys = createLocalJWKSet(JSON.parse(text));
  // An empty set is a mistake of the issuer: using it would refuse every token.
  if (keys.jwks().keys.length === 0) throw new Error("the key set is empty");
  return keys;
}

/** Runs `work` with a signal that aborts after `ms` milliseconds of the clock, and when `work` has settled. */
async function withDeadline<T>(
  clock: Clock,
  ms: number,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  void clock
    .wait(ms, deadline.signal)
    .then(() => deadline.abort(new Error(`no full answer within ${ms} ms`)));
  try {
    return await work(deadline.signal);
  } finally {
    deadline.abort();
  }
}

function isWithin(elapsedMs: number, limitMs: number): boolean {
  return elapsedMs >= 0 && elapsedMs < limitMs;
}
