import type { Clock } from "../../lib/clock.ts";
import type { Mailer, OutgoingMail, SendResult } from "../mailer.ts";
import { needsUtf8 } from "../smtp/mailbox.ts";
import { sendWithTimeout } from "../smtp/send-with-timeout.ts";
import type { CircuitBreaker, Pass } from "./circuit-breaker.ts";

/** A relay or an API that sends mails. */
export interface Provider extends Mailer {
  /** Whether it accepts non-ASCII local parts (RFC 6531). Undefined if not known yet. */
  takesUtf8(): boolean | undefined;
  /** Learns what the other side offers, if it can. Never rejects. */
  probe?(): Promise<void>;
}

/** A provider and its health. May be part of several chains. */
export interface GuardedProvider {
  /** For logs. */
  readonly name: string;
  readonly provider: Provider;
  readonly breaker: CircuitBreaker;
}

export interface FailoverOptions {
  readonly clock: Clock;
  /** Timeout for all providers together, in milliseconds. */
  readonly sendMs: number;
  /** Called when a breaker opens, and when it closes again. */
  readonly onTurn?: (name: string, isOpen: boolean) => void;
}

/**
 * Sends a mail through the first provider, in order, that accepts it.
 *
 * The next provider is tried when one fails or rejects the sender. It isn't tried when:
 *
 * - a provider rejects the mail.
 * - a provider defers the mail: greylisting only passes at the same relay (RFC 6647 §2).
 * - a provider may have accepted the mail without saying so: a second copy there has the same Message-ID, and at another
 *   provider the user would surely get both.
 *
 * Providers with an open breaker are skipped. If all are open, the one that has rested longest is tried, so that breakers
 * never cost an attempt that might succeed.
 */
export function sendThrough(
  providers: readonly GuardedProvider[],
  mail: OutgoingMail,
  signal: AbortSignal,
  { clock, sendMs, onTurn }: FailoverOptions,
): Promise<SendResult> {
  const candidates = candidatesFor(mail, providers);
  return sendWithTimeout(sendMs, signal, async (attempt) => {
    let failure: Failure | undefined;
    for (const guarded of candidates) {
      const pass = guarded.breaker.enter(clock.now());
      if (!pass) continue;
      const result = await sendGuarded(guarded, pass, attempt, failure === undefined);
      if (!failsProvider(result)) return result;
      if (attempt.aborted || mayHaveArrived(result)) return result;
      // A rejected sender is final only if no other provider asks to retry.
      if (result.kind === "retry" || failure === undefined) failure = result;
    }
    if (failure) return failure;
    const last = longestRested(candidates);
    return last ? sendGuarded(last, "normal", attempt, true) : { kind: "retry", reason: "provider" };
  });

  async function sendGuarded(
    { name, provider, breaker }: GuardedProvider,
    pass: Pass,
    attempt: AbortSignal,
    isFirst: boolean,
  ) {
    const result = await provider.send(mail, attempt);
    const wasOpen = breaker.restsUntil !== undefined;
    // A provider that got only the time others left has not failed when that is over.
    const isCutShort = signal.aborted || (attempt.aborted && !isFirst);
    breaker.leave(pass, findingOf(result, isCutShort), clock.now());
    const isOpen = breaker.restsUntil !== undefined;
    if (isOpen !== wasOpen) onTurn?.(name, isOpen);
    return result;
  }
}

/** Selects the providers that accept a non-ASCII local part, or all of them if none is known to. */
function candidatesFor({ to }: OutgoingMail, providers: readonly GuardedProvider[]) {
  if (!needsUtf8(to)) return providers;
  const able = providers.filter(({ provider }) => provider.takesUtf8());
  return able.length > 0 ? able : providers;
}

type Failure = Exclude<SendResult, { kind: "sent" }>;

function findingOf(result: SendResult, isCutShort: boolean) {
  if (!failsProvider(result)) return "answers";
  return isCutShort ? "unknown" : "fails";
}

/** Reports whether a failure is about the provider, rather than the mail. */
function failsProvider(result: SendResult): result is Failure {
  if (result.kind === "retry") return result.about !== "mail";
  return result.kind === "reject" && result.about === "sender";
}

function mayHaveArrived(result: Failure): boolean {
  return result.kind === "retry" && result.mayHaveArrived === true;
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
