import { type NodeHandler, type NodeRequest, type Reply, reply } from "../http/reply.ts";
import { isSigned } from "./webhook-signature.ts";

/** What a mail provider says of a mail. */
export interface ProviderReport {
  readonly type: "bounce" | "complaint";
  /** The Message-ID of the mail, with its angle brackets. */
  readonly messageId: string;
  /** Of a bounce: an enhanced status code (RFC 3463). */
  readonly status: string;
}

export interface BounceWebhookOptions {
  readonly secret: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Records a report once for each id of a webhook, however often and in whichever order it comes. */
  readonly record: (webhookId: string, report: ProviderReport) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

const bodyBytesMax = 16 * 1024;

/**
 * Where a provider of mail, or a small program beside it, tells what came of mails. Every report that is signed and can be
 * read is answered alike: which Message-IDs there are is nobody's business.
 */
export function createBounceWebhook({ secret, now, record, onError }: BounceWebhookOptions): NodeHandler {
  return async (request, response) => {
    const answer = (answered: Reply) => reply(request, response, answered);
    if (request.method !== "POST")
      return answer({ ...refusals.method, headers: { ...headers, allow: "POST" } });
    const body = await readBody(request);
    if (body === "too large") return answer(refusals.size);
    if (body === "broken off") return;
    const id = headerOf(request, "webhook-id");
    const timestamp = headerOf(request, "webhook-timestamp");
    const signature = headerOf(request, "webhook-signature");
    if (!isSigned(secret, now(), { id, timestamp, signature, body }) || id === undefined) {
      return answer(refusals.signature);
    }
    const report = readReport(body);
    if (report === "unknown") return answer(accepted);
    if (report === "malformed") return answer(refusals.content);
    try {
      await record(id, report);
    } catch (error) {
      onError(error);
      // The provider sends it again.
      return answer(refusals.later);
    }
    answer(accepted);
  };
}

/** What is too large is let go by unread, so that the client gets to see the answer. */
function readBody(request: NodeRequest): Promise<Buffer | "too large" | "broken off"> {
  return new Promise((resolve) => {
    // One buffer: a body of many tiny chunks would take many times its length.
    const body = Buffer.allocUnsafe(bodyBytesMax);
    let bytes = 0;
    request.on("data", (chunk: Buffer) => {
      if (bytes + chunk.length <= bodyBytesMax) bytes += chunk.copy(body, bytes);
      else resolve("too large");
    });
    request.on("end", () => resolve(body.subarray(0, bytes)));
    request.on("close", () => resolve("broken off"));
  });
}

/** A header that stands there once. */
function headerOf({ headers }: NodeRequest, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

/** `unknown`: of a type that is none of ours, such as a delivery. There may be such at any time. */
function readReport(body: Buffer): ProviderReport | "unknown" | "malformed" {
  let json: unknown;
  try {
    json = JSON.parse(body.toString("utf8"));
  } catch {
    return "malformed";
  }
  if (typeof json !== "object" || json === null) return "malformed";
  const { type, message_id: messageId, status } = json as Record<string, unknown>;
  if (typeof type !== "string" || typeof messageId !== "string" || messageId.length > 998) return "malformed";
  if (type !== "bounce" && type !== "complaint") return "unknown";
  if (type === "bounce" && !isStatus(status)) return "malformed";
  return {
    type,
    messageId: messageId.startsWith("<") ? messageId : `<${messageId}>`,
    status: isStatus(status) ? status : "",
  };
}

function isStatus(status: unknown): status is string {
  return typeof status === "string" && /^[45]\.\d{1,3}\.\d{1,3}$/.test(status);
}

const headers = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

const accepted: Reply = { status: 204, headers };

const refusals = {
  content: refusal(
    400,
    'the body must be JSON such as {"type": "bounce", "message_id": "<…>", "status": "5.1.1"}',
  ),
  signature: refusal(
    401,
    "the signature is missing, wrong or older than 5 minutes: sign as Standard Webhooks says",
  ),
  method: refusal(405, "send it by POST"),
  size: refusal(413, "the body is too large: send one report, of up to 16 KiB"),
  later: refusal(503, "the report cannot be recorded now: send it again"),
};

function refusal(status: number, text: string): Reply {
  return { status, headers: { ...headers, "content-type": "text/plain; charset=utf-8" }, body: `${text}\n` };
}
