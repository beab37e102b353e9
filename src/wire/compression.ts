import { promisify } from "node:util";
import { brotliDecompress, gunzip, gzip } from "node:zlib";
import { Code } from "@connectrpc/connect";
import { tooLarge } from "./unary.ts";
import { malformed, wireError } from "./wire-error.ts";

const decoders = { gzip: promisify(gunzip), br: promisify(brotliDecompress) };
const encode = promisify(gzip);

/** Smaller messages are not worth the work. */
const compressFromBytes = 1024;

/** What can be read, for `accept-encoding` and `grpc-accept-encoding`. */
export const acceptedEncodings = "gzip, br";

/**
 * Reads bytes in a content coding; the limit is that of the result.
 *
 * @throws RESOURCE_EXHAUSTED if there is more, UNIMPLEMENTED for another coding, INVALID_ARGUMENT for damage.
 */
export async function decompress(
  encoding: string | null,
  bytes: Uint8Array,
  bytesMax: number,
): Promise<Uint8Array> {
  if (encoding === null || encoding === "" || encoding === "identity") return bytes;
  if (encoding !== "gzip" && encoding !== "br") {
    throw wireError(
      Code.Unimplemented,
      "UNIMPLEMENTED",
      `this compression is not supported: use ${acceptedEncodings}`,
    );
  }
  try {
    return await decoders[encoding](bytes, { maxOutputLength: bytesMax });
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge(bytesMax);
    throw malformed(`the message is not valid ${encoding}`);
  }
}

/** Compresses a reply by gzip if it is worth it and the client accepts it, or returns undefined. */
export async function compressIfAccepted(
  accepted: string | null,
  bytes: Uint8Array,
): Promise<Uint8Array | undefined> {
  if (bytes.length <= compressFromBytes) return undefined;
  const accepts = (accepted ?? "")
    .split(",")
    .some((encoding) => /^ *gzip *(;(?! *q=0(\.0*)? *$)|$)/.test(encoding));
  return accepts ? encode(bytes) : undefined;
}
