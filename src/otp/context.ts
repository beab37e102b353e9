import type { Store } from "../db/store.ts";
import type { Clock } from "../lib/clock.ts";
import type { KeyRing } from "./codes/keys.ts";
import type { Policy } from "./policy.ts";

/** What the use cases of this folder stand on. */
export interface OTPContext {
  readonly store: Store;
  readonly clock: Clock;
  readonly keys: KeyRing;
  readonly policy: Policy;
  /** The domain of Message-IDs. */
  readonly messageIdDomain: string;
  /** Called after a commit that queued a mail. */
  readonly mailQueued: () => void;
}
