import { type NodeRequest, type Reply, reply } from "../http/reply.ts";
import { readBody } from "./body.ts";
import type { Page } from "./pages.ts";
import { isSigned } from "./webhook-signature.ts";

/** What a mail provider reports about a mail. */
export interface ProviderReport {
  readonly type: "bounce" | "complaint";
  /** The Message-ID of the mail, with its angle brackets. */
  readonly messageId: string;
  /** The enhanced status code (RFC 3463) of a bounce. Empty if a complaint has none. */
  readonly status: string;
}

export interface BounceWebhookOptions {
  readonly secret: Uint8Array;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Records a report once per webhook id: providers repeat deliveries, in any order. */
  readonly record: (webhookId: string, report: ProviderReport) => Promise<void>;
  readonly onError: (error: unknown) => void;
}

const bodyBytesMax = 16 * 1024;

/**
 * `POST /webhooks/bounces` receives bounces and complaints from a mail provider, signed as Standard Webhooks 1.0 specifies.
 * The reply to a signed, well-formed report doesn't reveal whether the Message-ID exists.
 */
export function bounceWebhook({ secret, now, record, onError }: BounceWebhookOptions): Page {
  async function answer(request: NodeRequest): Promise<Reply | undefined> {
    if (request.method !== "POST") return refusals.method;
    const body = await readBody(request, bodyBytesMax);
    if (body === "too large") return refusals.size;
    if (body === "gone") return undefined;
    const id = headerOf(request, "webhook-id");
    const timestamp = headerOf(request, "webhook-timestamp");
    const signature = headerOf(request, "webhook-signature");
    if (!isSigned(secret, now(), { id, timestamp, signature, body }) || id === undefined) {
      return refusals.signature;
    }
    const report = parseReport(body);
    if (report === "unknown type") return accepted;
    if (report === "malformed") return refusals.content;
    try {
      await record(id, report);
      return accepted;
    } catch (error) {
      onError(error);
      // Providers retry after 5xx.
      return refusals.unavailable;
    }
  }

  return {
    path: "/webhooks/bounces",
    async handler(request, response) {
      const answered = await answer(request);
      if (answered) reply(request, response, answered);
    },
  };
}

/** The value of a header that is sent exactly once. */
function headerOf({ headers }: NodeRequest, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

/** @returns `unknown type` for events this service has no use for, such as deliveries: providers add types. */
function parseReport(body: Buffer): ProviderReport | "unknown type" | "malformed" {
  let json: unknown;
  try {
    json = JSON.parse(body.toString("utf8"));
  } catch {
    return "malformed";
  }
  if (typeof json !== "object" || json === null) return "malformed";
  const { type, message_id: messageId, status } = json as Record<string, unknown>;
  if (typeof type !== "string" || typeof messageId !== "string" || messageId.length > 998) return "malformed";
  if (type !== "bounce" && type !== "complaint") return "unknown type";
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
    "the signature is missing, wrong or older than 5 minutes: sign as Standard Webhooks specifies",
  ),
  method: refusal(405, "use POST", { allow: "POST" }),
  size: refusal(413, "the body is too large: send one report of at most 16 KiB"),
  unavailable: refusal(503, "the report cannot be recorded now: send it again"),
};

function refusal(status: number, text: string, more: Readonly<Record<string, string>> = {}): Reply {
  return {
    status,
    headers: { ...headers, "content-type": "text/plain; charset=utf-8", ...more },
    body: `${text}\n`,
  };
}
