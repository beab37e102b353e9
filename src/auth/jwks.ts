import { createLocalJWKSet, type JSONWebKeySet } from "jose";
import type { Clock } from "../lib/clock.ts";
import { isLoopback } from "../lib/loopback.ts";
import { Refusal } from "../lib/refusal.ts";
import { dayMs } from "../lib/time.ts";

/** Looks up the key for the header of a token. Compared by identity: other keys are another object. */
export type KeySet = ReturnType<typeof createLocalJWKSet>;

/** The keys of one issuer. */
export interface IssuerKeys {
  /**
   * The keys to check a token with now.
   *
   * @throws UNAVAILABLE ISSUER_UNAVAILABLE while there are none.
   */
  current(): Promise<KeySet>;
  /** The same without a wait: undefined if the keys are due, or there are none. */
  atHand(): KeySet | undefined;
  /** For a token whose key is not among `known`: other keys, or `known` again if there are no others yet. */
  newerThan(known: KeySet): Promise<KeySet>;
}

/** Keys that are known from the start and never change. */
export function fixedKeys(jwks: JSONWebKeySet): IssuerKeys {
  const keys = createLocalJWKSet(jwks);
  return { current: async () => keys, atHand: () => keys, newerThan: async () => keys };
}

/** Where an issuer publishes its keys, and who hears of it when they cannot be had. */
export interface RemoteKeysOptions {
  readonly issuer: string;
  /** Without it the address is taken from the issuer's metadata, at every fetch anew. */
  readonly jwksUri?: string | undefined;
  readonly clock: Clock;
  /** Called after every failed fetch, for the log. It must not throw. No part of a token is in the error. */
  readonly onFailure?: ((issuer: string, error: Error) => void) | undefined;
}

// jose's createRemoteJWKSet drops its keys when they are due and cannot be fetched, and tells the time itself, so
// that the schedule is here.
const freshMs = 10 * 60_000;
const keptMs = dayMs;
const pauseMs = 30_000;
// Without any keys every call fails, and an issuer that starts along with this process is up in seconds.
const pauseWithoutKeysMs = 5_000;
const fetchTimeoutMs = 5_000;
const bodyBytesMax = 64 * 1024;

/**
 * Keys that an issuer publishes over HTTP.
 *
 * - Keys older than 10 minutes are fetched again before they are used, so that a retired one is refused by then.
 * - A token with an unknown key makes them be fetched again, 30 seconds after the last fetch at the earliest.
 * - While that fails, the keys at hand are used on without a wait, for up to 24 hours.
 * - All callers share one fetch. It takes at most 5 seconds, discovery included.
 *
 * @throws at once if an address is not acceptable: https, or http on a loopback host.
 */
export function remoteKeys({ issuer, jwksUri, clock, onFailure }: RemoteKeysOptions): IssuerKeys {
  if (jwksUri === undefined) checkUrl("issuer", issuer);
  else checkUrl("jwksUri", jwksUri);
  let fetched: { readonly keys: KeySet; readonly text: string; readonly atMs: number } | undefined;
  let failure: Error | undefined;
  let attemptAtMs: number | undefined;
  let flight: Promise<void> | undefined;

  // A clock that was set back makes keys due at once rather than fresh for longer.
  const isFresh = () => fetched !== undefined && isWithin(clock.now() - fetched.atMs, freshMs);
  const isUsable = () => fetched !== undefined && Math.abs(clock.now() - fetched.atMs) < keptMs;

  function untilNextAttemptMs(): number {
    const sinceMs = attemptAtMs === undefined ? Number.POSITIVE_INFINITY : clock.now() - attemptAtMs;
    const wantedMs = isUsable() ? pauseMs : pauseWithoutKeysMs;
    return isWithin(sinceMs, wantedMs) ? wantedMs - sinceMs : 0;
  }

  /** Resolves when a fetch has ended, well or not, or at once if it is too early for one. Never rejects. */
  async function refresh(): Promise<void> {
    if (flight === undefined && untilNextAttemptMs() > 0) return;
    flight ??= attempt().finally(() => {
      flight = undefined;
    });
    await flight;
  }

  async function attempt(): Promise<void> {
    const atMs = clock.now();
    attemptAtMs = atMs;
    try {
      const text = await withDeadline(clock, fetchTimeoutMs, async (signal) => {
        const url = jwksUri ?? (await discoverJwksUri(issuer, signal));
        return fetchJsonText(new URL(url), signal);
      });
      // The same keys stay the same object, and verdicts that were reached with them stay cached.
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
        // A dead issuer must not slow down the calls that the keys at hand can serve.
        if (failure === undefined || !isUsable()) await refreshed;
      }
      if (fetched !== undefined && isUsable()) return fetched.keys;
      throw new Refusal(
        "ISSUER_UNAVAILABLE",
        "the issuer of the access token cannot be reached to check it: try again later with the same token",
        { retryAfterMs: untilNextAttemptMs(), cause: failure },
      );
    },
    atHand: () => (isFresh() ? fetched?.keys : undefined),
    async newerThan(known) {
      if (fetched?.keys === known) await refresh();
      return fetched?.keys ?? known;
    },
  };
}

/**
 * Finds `jwks_uri` in the issuer's metadata: OpenID Connect Discovery 1.0 §4, or else RFC 8414 §3.
 *
 * @throws if neither document is there, or is of another issuer (RFC 8414 §3.3).
 */
async function discoverJwksUri(issuer: string, signal: AbortSignal): Promise<string> {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  const addresses = [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
  const failures: unknown[] = [];
  for (const address of addresses) {
    try {
      const metadata: unknown = JSON.parse(await fetchJsonText(new URL(address), signal));
      return jwksUriOf(metadata, issuer);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `no usable metadata at ${addresses.join(" or ")}`);
}

function jwksUriOf(metadata: unknown, issuer: string): string {
  if (typeof metadata !== "object" || metadata === null) throw new Error("the metadata is not an object");
  if (!("issuer" in metadata) || metadata.issuer !== issuer) {
    throw new Error("the `issuer` of the metadata is not exactly the configured one (RFC 8414 §3.3)");
  }
  if (!("jwks_uri" in metadata) || typeof metadata.jwks_uri !== "string") {
    throw new Error("the metadata has no `jwks_uri`");
  }
  checkUrl("jwks_uri", metadata.jwks_uri);
  return metadata.jwks_uri;
}

function parseKeys(text: string): KeySet {
  const keys = createLocalJWKSet(JSON.parse(text));
  // An empty set is a mistake of the issuer. To act on it would refuse everyone.
  if (keys.jwks().keys.length === 0) throw new Error("the key set is empty");
  return keys;
}

async function fetchJsonText(url: URL, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, {
    // A redirect could lead to a host that only this process can reach (ASVS 15.3.2).
    redirect: "error",
    headers: { accept: "application/json, application/jwk-set+json" },
    signal,
  });
  if (response.status !== 200) throw new Error(`${url.href} answered ${response.status}`);
  const type = response.headers.get("content-type") ?? "";
  if (!/^application\/(?:[\w.-]+\+)?json *(?:;|$)/i.test(type)) throw new Error(`${url.href} is not JSON`);
  // Counted here, after decompression: Content-Length is what the other side says.
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Error(`${url.href} is larger than ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
}

/** Runs `work` with a signal that aborts after `ms` of the clock, and when the work is over in any way. */
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

function checkUrl(name: string, text: string): void {
  if (!URL.canParse(text)) throw new Error(`the ${name} ${text} is not a URL`);
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== "" || password !== "") throw new Error(`the ${name} must not hold a user or a password`);
  if (protocol === "https:" || (protocol === "http:" && isLoopback(hostname))) return;
  throw new Error(`the ${name} ${text} must be https (http is for loopback hosts)`);
}

function isWithin(elapsedMs: number, limitMs: number): boolean {
  return elapsedMs >= 0 && elapsedMs < limitMs;
}
