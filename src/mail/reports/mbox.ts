/** How much of a message is kept, in bytes. The report precedes the returned message. */
export const messageBytesMax = 256 * 1024;

/** Longer lines are passed on in parts. */
const lineBytesMax = 64 * 1024;

const newline = 0x0a;
const separator = Buffer.from("From ");

/**
 * Reads the messages of an mbox file (RFC 4155) one at a time. A message begins with a line that starts with "From ", at the
 * beginning of the file or after an empty line. Input that doesn't begin with such a line is a single message. Messages are
 * truncated to `messageBytesMax` bytes.
 */
export async function* readMessages(input: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let isMbox: boolean | undefined;
  let isAfterEmptyLine = true;
  let parts: Buffer[] = [];
  let bytes = 0;
  const take = () => {
    const message = Buffer.concat(parts);
    parts = [];
    bytes = 0;
    return message;
  };
  for await (const { line, isStart } of readLines(input)) {
    const isSeparator = isStart && line.subarray(0, separator.length).equals(separator);
    isMbox ??= isSeparator;
    if (isMbox && isSeparator && isAfterEmptyLine) {
      if (bytes > 0) yield take();
      isAfterEmptyLine = false;
      continue;
    }
    isAfterEmptyLine = isStart && /^\r?\n$/.test(line.toString("latin1", 0, 3));
    const kept = line.subarray(0, messageBytesMax - bytes);
    if (kept.length === 0) continue;
    parts.push(kept);
    bytes += kept.length;
  }
  if (bytes > 0) yield take();
}

interface LinePart {
  /** Including the line feed. */
  readonly line: Buffer;
  /** Whether it is the first part of its line. */
  readonly isStart: boolean;
}

async function* readLines(input: AsyncIterable<Uint8Array>): AsyncGenerator<LinePart> {
  let pending = Buffer.alloc(0);
  let isStart = true;
  for await (const chunk of input) {
    pending = Buffer.concat([pending, chunk]);
    let start = 0;
    for (let end = pending.indexOf(newline); end >= 0; end = pending.indexOf(newline, start)) {
      yield { line: pending.subarray(start, end + 1), isStart };
      start = end + 1;
      isStart = true;
    }
    pending = pending.subarray(start);
    if (pending.length > lineBytesMax) {
      yield { line: pending, isStart };
      pending = Buffer.alloc(0);
      isStart = false;
    }
  }
  if (pending.length > 0) yield { line: pending, isStart };
}
