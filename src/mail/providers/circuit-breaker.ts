/** When a breaker opens, and for how long. Times are milliseconds. */
export interface BreakerLimits {
  /** Failures in a row until it opens. */
  readonly failuresMax: number;
  /** How long it stays open the first time. Each probe that fails doubles it. */
  readonly restMs: number;
  readonly restMsMax: number;
}

/** What an attempt was let through as. One that was not asked for by `enter` is `normal`. */
export type Pass = "normal" | "probe";

/** Tells whether a provider is worth an attempt. Of each `enter` that gave a pass, `leave` is called once. */
export interface CircuitBreaker {
  /** Undefined: not now. After the rest one attempt goes through, as a probe, and the others wait for what it finds. */
  enter(now: number): Pass | undefined;
  /** `unknown`: the attempt was called off, and tells nothing of the provider. */
  leave(pass: Pass, found: "answers" | "fails" | "unknown", now: number): void;
  /** When the rest is over, in milliseconds since the epoch. Undefined while it is closed. */
  readonly restsUntil: number | undefined;
}

/** Short enough that a relay which comes back is noticed while codes still live. */
const defaultLimits: BreakerLimits = { failuresMax: 5, restMs: 2_000, restMsMax: 30_000 };

/** Makes a closed breaker. It has no timer: the time is passed in. */
export function createCircuitBreaker(limits: BreakerLimits = defaultLimits): CircuitBreaker {
  let failures = 0;
  let probing = false;
  let restMs = limits.restMs;
  let restsUntil: number | undefined;

  function open(now: number, forMs: number): void {
    restMs = Math.min(forMs, limits.restMsMax);
    restsUntil = now + restMs;
  }

  return {
    get restsUntil() {
      return restsUntil;
    },

    enter(now) {
      if (restsUntil === undefined) return "normal";
      // A clock that was set back must not lengthen the rest.
      const isOver = now >= restsUntil || restsUntil - now > restMs;
      if (!isOver || probing) return undefined;
      probing = true;
      return "probe";
    },

    leave(pass, found, now) {
      if (pass === "probe") probing = false;
      if (found === "unknown") return;
      if (found === "answers") {
        failures = 0;
        restsUntil = undefined;
        return;
      }
      // Attempts from before it opened say nothing new: only a probe doubles the rest.
      if (pass === "probe") return open(now, restMs * 2);
      failures++;
      if (restsUntil === undefined && failures >= limits.failuresMax) open(now, limits.restMs);
    },
  };
}
