/** For the log. `what` says in which part of the server it happened. */
export type OnError = (error: unknown, what: string) => void;

/** Told of an error that a client may have caused. `what` is one of few fixed texts. */
export type ReportFault = (error: NodeJS.ErrnoException, what: string) => void;

/** Clients that go away. It happens all the time, to health checks of load balancers by design. */
const hangUps: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "ETIMEDOUT"]);

/**
 * Passes on at most one error for each `what` in `everyMs` milliseconds, so that a client cannot flood the log, and none
 * that only says that a client is gone.
 *
 * Of the error its code alone is passed on: a parser attaches the bytes that it failed on, and with them tokens.
 */
export function createFaultReporter(onError: OnError, everyMs: number): ReportFault {
  const reported = new Map<string, number>();
  return (error, what) => {
    const code = error.code ?? error.message;
    const now = performance.now();
    if (hangUps.has(code) || now - (reported.get(what) ?? -everyMs) < everyMs) return;
    reported.set(what, now);
    onError(new Error(code), what);
  };
}
