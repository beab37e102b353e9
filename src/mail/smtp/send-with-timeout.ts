import type { SendResult } from "../mailer.ts";

/**
 * Calls `send` with a signal that aborts with the given one or after `ms`. A retry caused by the timeout has the reason
 * `timeout`.
 *
 * `AbortSignal.any` would leak: it keeps a reference on the given signal, which lives as long as the process.
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
    const isTimeout = result.kind === "retry" && attempt.signal.aborted && !signal.aborted;
    return isTimeout ? { ...result, reason: "timeout" } : result;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
  }
}
