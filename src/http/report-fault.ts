/** Logs an error. `what` says in which part of the server it happened. */
export type OnError = (error: unknown, what: string) => void;

/** Reports an error that a client may have caused. `what` must be a constant. */
export type ReportFault = (error: NodeJS.ErrnoException, what: string) => void;

/** Clients that disconnect. This is normal, for example for health checks of load balancers. */
const hangUps: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED", "ETIMEDOUT"]);

/**
 * Limits reports to one per `what` and `everyMs` milliseconds, so that clients can't flood the log, and drops those about
 * clients that disconnected.
 *
 * Reports only the code of an error: Node's parser attaches the bytes that it failed on, which may contain a token.
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
