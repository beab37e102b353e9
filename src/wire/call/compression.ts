import { promisify } from "node:util";
import { brotliDecompress, gunzip, gzip } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { malformed, tooLarge, wireError } from "./wire-error.ts";

// brotli is for connect-node to read, wherever it can: not on REST paths, with or without an RPC body, which it does not
// know, and not in gRPC-Web text, which it does not speak.
const decoders = { gzip: promisify(gunzip), br: promisify(brotliDecompress) };
const encode = promisify(gzip);

/** Smaller messages are not worth the work. */
const compressFromBytes = 1024;

/** What can be read. */
export const acceptedEncodings = "gzip,br";

/** Whether `decompress` reads it. */
export function isKnownCoding(encoding: string | null): boolean {
  return encoding === null || ["", "identity", "gzip", "br"].includes(encoding);
}

/** Whether it is no coding at all. */
export function isIdentity(encoding: string | null): encoding is null | "" | "identity" {
  return encoding === null || encoding === "" || encoding === "identity";
}

/**
 * Reads bytes in a content coding; the limit is that of the result.
 *
 * @param acceptHeader the header that tells the client, with the error, what it can use instead.
 * @throws RESOURCE_EXHAUSTED if there is more, UNIMPLEMENTED for another coding, INVALID_ARGUMENT for damage.
 */
export async function decompress(
  encoding: string | null,
  bytes: Uint8Array,
  bytesMax: number,
  acceptHeader = "accept-encoding",
): Promise<Uint8Array> {
  if (isIdentity(encoding)) return bytes;
  if (encoding !== "gzip" && encoding !== "br") {
    const error = wireError(
      Code.Unimplemented,
      "UNIMPLEMENTED",
      `this compression is not supported: use ${acceptedEncodings}`,
    );
    error.metadata.set(acceptHeader, acceptedEncodings);
    throw error;
  }
  // An empty message stays empty, as with connect-node.
  if (bytes.length === 0) return bytes;
  try {
    return await decoders[encoding](bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(bytesMax);
    // connect-node calls a stream that breaks off INTERNAL. It is the caller that sent it.
    throw malformed(`the message is not valid ${encoding}`);
  }
}

/** Compresses a reply by gzip if it is worth it and the client accepts it: otherwise undefined, at once. */
export function compressIfAccepted(
  accepted: () => string | null,
  content: Uint8Array | string,
): Promise<Uint8Array> | undefined {
  // A character is 3 bytes at most.
  if (content.length * 3 <= compressFromBytes) return undefined;
  if (Buffer.byteLength(content) <= compressFromBytes) return undefined;
  const accepts = (accepted() ?? "")
    .split(",")
    .some((encoding) => /^ *gzip *(;(?! *q=0(\.0*)? *$)|$)/i.test(encoding));
  return accepts ? encode(content) : undefined;
}
