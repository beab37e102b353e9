import type { Clock } from "../../clock.ts";
import { needsUtf8 } from "../mailbox.ts";
import type { Mailer, OutgoingMail, SendResult } from "../smtp.ts";
import { sendWithin } from "../within.ts";
import type { CircuitBreaker, Pass } from "./circuit-breaker.ts";

/** A way for mails to leave. */
export interface Provider extends Mailer {
  /** Whether it takes local parts beyond ASCII (RFC 6531). Undefined: not known yet. */
  takesUtf8(): boolean | undefined;
  /** Learns what the other side offers, where that can be learned. Never rejects. */
  probe?(): Promise<void>;
}

/** A provider with what is known of its health. It may stand in several lists. */
export interface GuardedProvider {
  /** For logs. */
  readonly name: string;
  readonly provider: Provider;
  readonly breaker: CircuitBreaker;
}

export interface FailoverOptions {
  readonly clock: Clock;
  /** For all providers together, in milliseconds. */
  readonly sendMs: number;
  /** Told when a breaker opens, and when it closes again. */
  readonly onTurn?: (name: string, isOpen: boolean) => void;
}

/**
 * Sends a mail through the first of the providers that takes it, in their order.
 *
 * The next one is asked when a provider fails, not when it refuses the mail or wants it later: greylisting, say, passes
 * with the same relay alone (RFC 6647 §2). Providers whose breaker is open are passed over, as long as there is another
 * one: if there is none, the one that has rested longest is tried all the same, so that breakers never cost a mail an
 * attempt that might succeed.
 */
export function sendThrough(
  providers: readonly GuardedProvider[],
  mail: OutgoingMail,
  signal: AbortSignal,
  { clock, sendMs, onTurn }: FailoverOptions,
): Promise<SendResult> {
  const candidates = candidatesFor(mail, providers);
  return sendWithin(sendMs, signal, async (attempt) => {
    let failure: SendResult | undefined;
    for (const guarded of candidates) {
      const pass = guarded.breaker.enter(clock.now());
      if (!pass) continue;
      const result = await sendGuarded(guarded, pass, attempt);
      if (attempt.aborted || !isAboutProvider(result)) return result;
      failure = result;
    }
    const last = failure ? undefined : longestRested(candidates);
    return failure ?? (last ? sendGuarded(last, "usual", attempt) : { kind: "retry", reason: "provider" });
  });

  async function sendGuarded({ name, provider, breaker }: GuardedProvider, pass: Pass, attempt: AbortSignal) {
    const result = await provider.send(mail, attempt);
    const wasOpen = breaker.restsUntil !== undefined;
    breaker.leave(pass, findingOf(result), clock.now());
    const isOpen = breaker.restsUntil !== undefined;
    if (isOpen !== wasOpen) onTurn?.(name, isOpen);
    return result;
  }

  function findingOf(result: SendResult) {
    if (!isAboutProvider(result)) return "answers";
    return signal.aborted ? "unknown" : "fails";
  }
}

/** Mails to a local part beyond ASCII leave by the providers that take them, if there is one. */
function candidatesFor({ to }: OutgoingMail, providers: readonly GuardedProvider[]) {
  if (!needsUtf8(to)) return providers;
  const able = providers.filter(({ provider }) => provider.takesUtf8());
  return able.length > 0 ? able : providers;
}

function isAboutProvider(result: SendResult): boolean {
  return result.kind === "retry" && result.about !== "mail";
}

function longestRested(providers: readonly GuardedProvider[]): GuardedProvider | undefined {
  return providers.reduce<GuardedProvider | undefined>(
    (first, next) => (first && restsUntil(first) <= restsUntil(next) ? first : next),
    undefined,
  );
}

function restsUntil({ breaker }: GuardedProvider): number {
  return breaker.restsUntil ?? 0;
}
