import type { Prover } from "../auth/prover.ts";
import type { EventFeed } from "../events/event-feed.ts";
import type { OTPContext } from "../otp/context.ts";
import type { PageTokens } from "./page-token.ts";

/** Everything that parsers and handlers depend on: built once, by `app/`. */
export interface ApiDependencies {
  readonly otp: OTPContext;
  readonly events: EventFeed;
  readonly prover: Prover;
  readonly pageTokens: PageTokens;
  /** Hosts that users themselves may name in a `url_template`. */
  readonly linkHosts: readonly string[];
  /** Who proofs may be made for. */
  readonly proofAudiences: "any" | readonly string[];
  /** Whether mail to local parts beyond ASCII would arrive, at this moment (RFC 6531). */
  readonly takesUtf8: () => boolean;
}
