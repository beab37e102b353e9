import type { Clock } from "../../lib/clock.ts";
import type { Mailer, OutgoingMail, SendResult } from "../mailer.ts";
import { needsUtf8 } from "../smtp/mailbox.ts";
import { sendWithTimeout } from "../smtp/send-with-timeout.ts";
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
 * The next one is asked when a provider fails or takes nothing from this sender; not when it refuses the mail, or wants it
 * later: greylisting, say, passes with the same relay alone (RFC 6647 §2). Nor is it when the provider may have the mail
 * and has not said so: the mail is due again a little later, and a repetition at the same provider has the same Message-ID
 * there, while one at another would be a second mail for sure.
 *
 * Providers whose breaker is open are passed over, as long as there is another one: if there is none, the one that has
 * rested longest is tried all the same, so that breakers never cost a mail an attempt that might succeed.
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
      // That one of them refuses the sender is the last word only if no other one may take it later.
      if (result.kind === "retry" || failure === undefined) failure = result;
    }
    const last = failure ? undefined : longestRested(candidates);
    return (
      failure ?? (last ? sendGuarded(last, "normal", attempt, true) : { kind: "retry", reason: "provider" })
    );
  });

  async function sendGuarded(
    { name, provider, breaker }: GuardedProvider,
    pass: Pass,
    attempt: AbortSignal,
    isFirst: boolean,
  ) {
    const result = await provider.send(mail, attempt);
    const wasOpen = breaker.restsUntil !== undefined;
    // Whoever was left the rest of the time by others has not failed when it is over.
    const isCutShort = signal.aborted || (attempt.aborted && !isFirst);
    breaker.leave(pass, findingOf(result, isCutShort), clock.now());
    const isOpen = breaker.restsUntil !== undefined;
    if (isOpen !== wasOpen) onTurn?.(name, isOpen);
    return result;
  }
}

/** Mails to a local part beyond ASCII leave by the providers that take them, if there is one. */
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

/** Whether it tells of the provider, and not of the mail. */
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
