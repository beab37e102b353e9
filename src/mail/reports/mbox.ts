/** How much of one message is kept, in bytes. What tells of a bounce stands before the message that is returned with it. */
export const messageBytesMax = 256 * 1024;

/** How much of a line is waited for before it is passed on without its end. */
const lineBytesMax = 64 * 1024;

const newline = 0x0a;
const separator = Buffer.from("From ");

/**
 * Reads the messages of an mbox file (RFC 4155), or the one message that the input is, with no more than one of them in
 * memory. A message begins with a line "From " at the start, or behind an empty line; input that does not begin with such a
 * line is one message. Of a longer message its first `messageBytesMax` bytes are kept.
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
  /** With its line feed. */
  readonly line: Buffer;
  /** Whether it is the start of a line. */
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
