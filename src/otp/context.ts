import type { Store } from "../db/store.ts";
import type { Clock } from "../lib/clock.ts";
import type { KeyRing } from "./codes/keys.ts";
import type { Policy } from "./policy.ts";

/** What the use cases in this folder need. */
export interface OTPContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly keys: KeyRing;
  readonly policy: Policy;
  /** The right-hand side of Message-IDs (RFC 5322 §3.6.4). */
  readonly messageIdDomain: string;
  /** Wakes the courier. Call it after a commit that queued a mail. */
  readonly mailQueued: () => void;
}
