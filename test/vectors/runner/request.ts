import { Readable } from "node:stream";
import { createGzip, gzipSync } from "node:zlib";
import type { HttpRequest } from "./format.ts";

export function headersOf({ headers = {}, headers_raw = [] }: HttpRequest): (readonly [string, string])[] {
  const listed = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, value] as const),
  );
  return [...listed, ...headers_raw];
}

/** The body of a request. Undefined if it has none. */
export async function bodyOf(request: HttpRequest): Promise<Buffer | undefined> {
  const { body, body_base64, body_gzip, body_repeat, body_gzip_repeat } = request;
  if (body_base64 !== undefined) return Buffer.from(body_base64, "base64");
  if (body_gzip !== undefined) return gzipSync(body_gzip);
  if (body_repeat) {
    const { prefix = "", open = "", mid = "", close = "", suffix = "", times } = body_repeat;
    return Buffer.from(prefix + open.repeat(times) + mid + close.repeat(times) + suffix);
  }
  if (body_gzip_repeat) {
    const { char, times, wrap = ["", ""] } = body_gzip_repeat;
    return gzipped(wrap[0], char, times, wrap[1]);
  }
  return body === undefined ? undefined : Buffer.from(body);
}

/** Compresses a text repeated many times, in pieces, because the result can be a decompression bomb. */
async function gzipped(before: string, text: string, times: number, after: string): Promise<Buffer> {
  const timesPerPiece = Math.max(1, Math.min(times, Math.floor((1 << 24) / text.length)));
  const piece = Buffer.from(text.repeat(timesPerPiece));
  const textBytes = Buffer.byteLength(text);
  async function* all() {
    yield before;
    for (let left = times; left > 0; left -= timesPerPiece)
      yield piece.subarray(0, Math.min(left, timesPerPiece) * textBytes);
    yield after;
  }
  const chunks = await Readable.from(all(), { objectMode: false })
    .pipe(createGzip({ level: 1 }))
    .toArray();
  return Buffer.concat(chunks);
}
