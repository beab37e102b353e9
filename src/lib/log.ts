import { type DestinationStream, type Logger, pino } from "pino";
import pretty from "pino-pretty";

export type Log = Logger;

export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;

/**
 * Writes one JSON object per line, or readable lines to a terminal.
 *
 * Callers never pass an email address, a code, a token or a key: nothing is redacted here.
 *
 * @param destination standard error by default, because commands print their output to standard output.
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

/** Lines are buffered up to this size or time, because each write is a system call. */
const batchBytes = 12 * 1024;
const flushMs = 100;

/** If the log cannot be written, further lines are dropped, so that they don't fill the memory. */
const bufferedBytesMax = 16 * 1024 * 1024;

/** Returns the time member of a line in ISO 8601, formatted once per millisecond. */
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

/** Writes lines to a file or descriptor in batches. The last batch is written when the process exits. */
export function inBatches(dest: string | number): DestinationStream {
  const destination = pino.destination({
    dest,
    sync: false,
    // In text mode, sonic-boom counts the bytes of the whole buffer again for each line.
    contentMode: "buffer",
    minLength: batchBytes,
    periodicFlush: flushMs,
    maxLength: bufferedBytesMax,
  });
  // After an error, such as a full disk, sonic-boom keeps the lines and retries. Calls must not fail or wait for that.
  let isFailing = false;
  destination.on("error", () => {
    isFailing = true;
  });
  destination.on("write", () => {
    isFailing = false;
  });
  // Its flush at exit would retry forever.
  process.prependOnceListener("exit", () => {
    if (isFailing) destination.destroy();
  });
  return {
    // In buffer mode it takes a Buffer, which its type does not allow.
    write: (line) => void destination.write(Buffer.from(line) as never),
    flushSync: () => destination.flushSync(),
  } as DestinationStream;
}
