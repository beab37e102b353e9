import { promisify } from "node:util";
import { brotliDecompress, gunzip, gzip } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { malformed, tooLarge, wireError } from "./wire-error.ts";

// The unary engine leaves brotli to connect-node, except where connect-node can't serve the request: on REST paths, with
// any body, and for gRPC-Web text.
const decoders = { gzip: promisify(gunzip), br: promisify(brotliDecompress) };
const encode = promisify(gzip);

/** Compressing smaller messages is not worth the CPU time. */
const compressFromBytes = 1024;

/** The codings that `decompress` reads. */
export const acceptedEncodings = "gzip,br";

/** Whether `decompress` reads the coding. */
export function isKnownCoding(encoding: string | null): boolean {
  return encoding === null || ["", "identity", "gzip", "br"].includes(encoding);
}

/** Whether the content is not compressed. */
export function isIdentity(encoding: string | null): encoding is null | "" | "identity" {
  return encoding === null || encoding === "" || encoding === "identity";
}

/**
 * Decompresses bytes.
 *
 * @param bytesMax limit for the decompressed size.
 * @param acceptHeader the header of the error that lists the supported codings.
 * @throws RESOURCE_EXHAUSTED above the limit, UNIMPLEMENTED for an unknown coding, INVALID_ARGUMENT for corrupt data.
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
  // Like connect-node, accept an empty message without a gzip header.
  if (bytes.length === 0) return bytes;
  try {
    return await decoders[encoding](bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(bytesMax);
    // connect-node answers INTERNAL to truncated data, but it's the caller's fault.
    throw malformed(`the message is not valid ${encoding}`);
  }
}

/** Compresses a reply with gzip. Returns undefined if it is too small or the client doesn't accept gzip. */
export function compressIfAccepted(
  acceptEncoding: string | null,
  content: Uint8Array | string,
): Promise<Uint8Array> | undefined {
  if (Buffer.byteLength(content) <= compressFromBytes) return undefined;
  const accepts = (acceptEncoding ?? "")
    .split(",")
    .some((encoding) => /^ *gzip *(;(?! *q=0(\.0*)? *$)|$)/i.test(encoding));
  return accepts ? encode(content) : undefined;
}
