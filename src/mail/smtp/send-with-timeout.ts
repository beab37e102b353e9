import type { SendResult } from "../mailer.ts";

/**
 * Sends with a signal of its own, which aborts with the given one or when the time is up. What failed for lack of time has
 * the reason `timeout`.
 *
 * (`AbortSignal.any` would keep something with the given signal, which lives as long as the process.)
 */
export async function sendWithTimeout(
  ms: number,
  signal: AbortSignal,
  send: (signal: AbortSignal) => Promise<SendResult>,
): Promise<SendResult> {
  const attempt = new AbortController();
  const abort = () => attempt.abort();
  const timer = setTimeout(abort, ms);
  signal.addEventListener("abort", abort, { once: true });
  if (signal.aborted) abort();
  try {
    const result = await send(attempt.signal);
    const outOfTime = result.kind === "retry" && attempt.signal.aborted && !signal.aborted;
    return outOfTime ? { ...result, reason: "timeout" } : result;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
