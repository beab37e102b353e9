import type { Prover } from "../auth/prover.ts";
import type { EventFeed } from "../events/event-feed.ts";
import type { OTPContext } from "../otp/context.ts";
import type { PageTokens } from "./page-token.ts";

/** What parsers and handlers depend on. Created once, in app/api.ts. */
export interface ApiDependencies {
  readonly otp: OTPContext;
  readonly events: EventFeed;
  readonly prover: Prover;
  readonly pageTokens: PageTokens;
  /** The hosts that users without a permission may use in a `url_template`. */
  readonly linkHosts: readonly string[];
  /** The audiences that proofs may be requested for. */
  readonly proofAudiences: "any" | readonly string[];
  /** Whether non-ASCII local parts can be delivered to at present (SMTPUTF8, RFC 6531). */
  readonly takesUtf8: () => boolean;
}
