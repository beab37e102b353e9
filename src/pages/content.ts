import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGunzip, gzip } from "node:zlib";
import {
  canReply,
  type NodeHandler,
  type NodeRequest,
  type NodeResponse,
  type Reply,
  reply,
} from "../http/reply.ts";
import { readable } from "./pages.ts";

/** A resource that is the same for every client, such as a file. */
export interface Content {
  /** Called on the first request, and again if it fails. Only the gzip of the result stays in memory. */
  readonly read: () => Promise<Uint8Array>;
  readonly headers: Readonly<Record<string, string>>;
}

interface Loaded {
  readonly gzipped: Buffer;
  readonly length: number;
  readonly etag: string;
}

/**
 * Answers GET and HEAD with the content: compressed for clients that accept gzip (RFC 9110 §12.5.3), 304 for those that have
 * it (RFC 9110 §13.1.2). If the content can't be read or sent whole, the response is destroyed.
 */
export function serveContent({ read, headers }: Content): NodeHandler {
  let loading: Promise<Loaded> | undefined;
  const loaded = () => {
    loading ??= load(read).catch((error: unknown) => {
      // Let the next request try again.
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return readable((request, response) => {
    loaded()
      .then((content) => answer(request, response, headers, content))
      // A truncated response must not look complete.
      .catch(() => void response.destroy());
  });
}

async function load(read: Content["read"]): Promise<Loaded> {
  const bytes = await read();
  const gzipped = await promisify(gzip)(bytes, { level: 9 });
  // Weak: both codings share it (RFC 9110 §8.8.3.3).
  const etag = `W/"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"`;
  return { gzipped, length: bytes.length, etag };
}

async function answer(
  request: NodeRequest,
  response: NodeResponse,
  headers: Reply["headers"],
  { gzipped, length, etag }: Loaded,
): Promise<void> {
  if (!canReply(response)) return;
  // CORS may have set Vary: Origin.
  const vary = [response.getHeader("vary"), "Accept-Encoding"].filter(Boolean).join(", ");
  const common = { ...headers, vary, etag, "x-content-type-options": "nosniff" };
  if (matches(request.headers["if-none-match"], etag)) {
    reply(request, response, { status: 304, headers: common });
  } else if (acceptsGzip(request.headers["accept-encoding"])) {
    const coded = { ...common, "content-encoding": "gzip" };
    reply(request, response, { status: 200, headers: coded, body: gzipped });
  } else if (request.method === "HEAD") {
    reply(request, response, { status: 200, headers: { ...common, "content-length": String(length) } });
  } else {
    const plain = { ...common, "content-length": String(length) };
    for (const [name, value] of Object.entries(plain)) response.setHeader(name, value);
    await pipeline(Readable.from([gzipped]), createGunzip(), response);
  }
}

/** Whether If-None-Match lists the tag: weak comparison, `*` matches any (RFC 9110 §13.1.2). */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  const opaque = etag.replace("W/", "");
  return ifNoneMatch?.split(",").some((tag) => ["*", opaque].includes(tag.trim().replace("W/", ""))) ?? false;
}

/** Whether Accept-Encoding lists gzip. `q=0` means no (RFC 9110 §12.4.2). */
function acceptsGzip(accepted: string | string[] | undefined): boolean {
  const codings = String(accepted ?? "").split(",");
  return codings.some((coding) => /^ *gzip *(;(?! *q=0(\.0*)? *$)|$)/i.test(coding));
}
