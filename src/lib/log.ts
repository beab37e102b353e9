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

/** Lines wait until there are so many bytes of them, or for so long: with 4 KB the writes took 4 % of the time of a busy process. */
const batchBytes = 12 * 1024;
const flushMs = 100;

/** Where nobody reads the log any more, lines beyond this are lost: they must not fill the memory (F37). */
const waitingBytesMax = 16 * 1024 * 1024;

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
  return process.stderr.isTTY ? pretty({ destination: 2, sync: true }) : inBatches(2);
}

/** A file, or a descriptor, that lines are written to together. What waits when the process exits is written then. */
export function inBatches(dest: string | number): DestinationStream {
  const destination = pino.destination({
    dest,
    sync: false,
    // Lines that wait as text are counted anew, all of them, with each that joins them: 5 us a line.
    contentMode: "buffer",
    minLength: batchBytes,
    periodicFlush: flushMs,
    maxLength: waitingBytesMax,
  });
  // A full disk, say. The lines wait, and are written once there is room: nobody else can be told, and no call waits (F03).
  let isFailing = false;
  destination.on("error", () => {
    isFailing = true;
  });
  destination.on("write", () => {
    isFailing = false;
  });
  // What waits is written before the process exits: without this it would be tried for ever.
  process.prependOnceListener("exit", () => {
    if (isFailing) destination.destroy();
  });
  return {
    // Given bytes, it takes bytes: its type knows of text alone.
    write: (line) => void destination.write(Buffer.from(line) as never),
    flushSync: () => destination.flushSync(),
  } as DestinationStream;
}
