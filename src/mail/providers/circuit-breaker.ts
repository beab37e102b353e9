/** Times are milliseconds. */
export interface BreakerLimits {
  /** Consecutive failures until the breaker opens. */
  readonly failuresMax: number;
  /** How long it stays open the first time. Each failed probe doubles it. */
  readonly restMs: number;
  readonly restMsMax: number;
}

/** How an attempt was admitted. Attempts made without asking are `normal`. */
export type Pass = "normal" | "probe";

/** Decides whether a provider is worth an attempt. Each pass from `enter` must be given back once with `leave`. */
export interface CircuitBreaker {
  /** Returns undefined to deny. After the rest it admits one attempt as a probe, and denies others until its result. */
  enter(now: number): Pass | undefined;
  /** `unknown`: the attempt was cut short, so it says nothing about the provider. */
  leave(pass: Pass, found: "answers" | "fails" | "unknown", now: number): void;
  /** When the rest ends, in milliseconds since the epoch. Undefined while closed. */
  readonly restsUntil: number | undefined;
}

/** The rest is short compared to the lifetime of a code. */
const defaultLimits: BreakerLimits = { failuresMax: 5, restMs: 2_000, restMsMax: 30_000 };

/** Creates a closed breaker. It has no timer; callers pass the time. */
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
      // A clock that is set back must not prolong the rest.
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
      // Only a probe doubles the rest. Attempts from before it began say nothing new.
      if (pass === "probe") return open(now, restMs * 2);
      failures++;
      if (restsUntil === undefined && failures >= limits.failuresMax) open(now, limits.restMs);
    },
  };
}
