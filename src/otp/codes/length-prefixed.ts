/**
 * Concatenates parts, each preceded by its length in bytes (32 bits, big-endian), so that no two lists give the same bytes.
 * Strings are UTF-8.
 */
export function lengthPrefixed(parts: readonly (string | Uint8Array)[]): Buffer {
  const lengths = parts.map((part) => Buffer.byteLength(part));
  const bytes = Buffer.allocUnsafe(lengths.reduce((sum, length) => sum + 4 + length, 0));
  let at = 0;
  for (const [i, part] of parts.entries()) {
    at = bytes.writeUInt32BE(lengths[i] ?? 0, at);
    at += typeof part === "string" ? bytes.write(part, at) : Buffer.from(part).copy(bytes, at);
  }
  return bytes;
}
