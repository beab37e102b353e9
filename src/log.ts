import { type DestinationStream, type Logger, pino } from "pino";
import pretty from "pino-pretty";

export type Log = Logger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/**
 * Structured logs, one JSON object a line; readable lines on a terminal.
 *
 * No line holds an address, a code, a token or a key. Nothing is redacted to that end: nothing of the kind is given
 * to the log.
 *
 * @param destination standard error by default, so that what a command prints stays apart.
 */
export function createLog(level: (typeof logLevels)[number], destination?: DestinationStream): Log {
  const options = {
    level,
    base: null,
    timestamp: isoTime(),
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, destination ?? standardError());
}

/** ISO 8601, as the member of a line. Many lines of a busy service are of the same millisecond. */
function isoTime(): () => string {
  let lastMs = 0;
  let last = "";
  return () => {
    const nowMs = Date.now();
    if (nowMs !== lastMs) last = `,"time":"${new Date(nowMs).toISOString()}"`;
    lastMs = nowMs;
    return last;
  };
}

function standardError(): DestinationStream {
  if (process.stderr.isTTY) return pretty({ destination: 2, sync: true });
  return pino.destination({ dest: 2, sync: false });
}
