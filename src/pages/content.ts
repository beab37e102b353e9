import { createHash } from "node:crypto";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { createGunzip, gzip } from "node:zlib";
import { canReply, type NodeRequest, type NodeResponse, type Reply, reply } from "../http/reply.ts";

/** What is the same for everybody who asks for it. */
export interface Content {
  /** Called on the first request. What it returns is not held: only its gzip is. */
  readonly read: () => Promise<Uint8Array>;
  readonly headers: Readonly<Record<string, string>>;
}

interface Loaded {
  readonly gzipped: Buffer;
  readonly length: number;
  readonly etag: string;
}

/** Answers GET and HEAD with the content: compressed for those who take it, 304 for those who have it (RFC 9110 §13.1.2). */
export function serveContent({
  read,
  headers,
}: Content): (request: NodeRequest, response: NodeResponse) => void {
  let loading: Promise<Loaded> | undefined;
  const loaded = () => {
    loading ??= load(read).catch((error: unknown) => {
      // The next request tries again.
      loading = undefined;
      throw error;
    });
    return loading;
  };
  return (request, response) => {
    loaded()
      .then((content) => answer(request, response, headers, content))
      // The content cannot be read, or nobody takes it any more: half of it must not look like all of it.
      .catch(() => void response.destroy());
  };
}

async function load(read: Content["read"]): Promise<Loaded> {
  const bytes = await read();
  const gzipped = await promisify(gzip)(bytes, { level: 9 });
  // Weak: it is the same for both codings.
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
  const vary = [response.getHeader("vary"), "Accept-Encoding"].filter(Boolean).join(", ");
  const validators = { ...headers, vary, etag, "x-content-type-options": "nosniff" };
  if (has(request.headers["if-none-match"], etag)) {
    reply(request, response, { status: 304, headers: validators });
  } else if (takesGzip(request.headers["accept-encoding"])) {
    const coded = { ...validators, "content-encoding": "gzip" };
    reply(request, response, { status: 200, headers: coded, body: gzipped });
  } else if (request.method === "HEAD") {
    reply(request, response, { status: 200, headers: { ...validators, "content-length": String(length) } });
  } else {
    const plain = { ...validators, "content-length": String(length) };
    for (const [name, value] of Object.entries(plain)) response.setHeader(name, value);
    await pipeline(Readable.from([gzipped]), createGunzip(), response);
  }
}

/** Compared weakly: `*` or a list (RFC 9110 §13.1.2). */
function has(ifNoneMatch: string | undefined, etag: string): boolean {
  const opaque = etag.replace("W/", "");
  return ifNoneMatch?.split(",").some((tag) => ["*", opaque].includes(tag.trim().replace("W/", ""))) ?? false;
}

/** RFC 9110 §12.5.3: `q=0` says no. */
function takesGzip(accepted: string | string[] | undefined): boolean {
  const codings = String(accepted ?? "").split(",");
  return codings.some((coding) => /^ *gzip *(;(?! *q=0(\.0*)? *$)|$)/i.test(coding));
}
