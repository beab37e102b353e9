import { createHash } from "node:crypto";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { Webhook } from "standardwebhooks";
import type { MailAddress, OutgoingMail, SendResult } from "../mailer.ts";
import { hasValidEnvelope, needsUtf8, requireSender } from "../smtp/mailbox.ts";
import { sendWithTimeout } from "../smtp/send-with-timeout.ts";
import type { Provider } from "./failover.ts";

export interface WebhookOptions {
  readonly url: string;
  /** See `readWebhookSecrets`. */
  readonly secrets: readonly string[];
  readonly from: MailAddress;
  readonly timeouts?: Partial<WebhookTimeouts>;
}

/** In milliseconds. */
export interface WebhookTimeouts {
  /** Until the connection is open, including TLS. */
  readonly connectMs: number;
  /** Until the receiver answers. */
  readonly sendMs: number;
}

const defaultTimeouts: WebhookTimeouts = { connectMs: 5_000, sendMs: 10_000 };

/**
 * Creates a provider that sends each mail as a POST, signed as defined by Standard Webhooks 1.0. `webhook-id` is the same
 * for all attempts at a mail, so that the receiver can recognize repetitions. `webhook-signature` covers id, time and body.
 *
 * @throws if a secret or the sender is not usable.
 */
export function createWebhookProvider({ url, secrets, from, timeouts }: WebhookOptions): Provider {
  const { connectMs, sendMs } = { ...defaultTimeouts, ...timeouts };
  const target = new URL(url);
  const signers = secrets.map((secret) => new Webhook(secret));
  const sender = requireSender(from);

  async function hand(mail: OutgoingMail, signal: AbortSignal): Promise<SendResult> {
    const id = idOf(mail);
    const now = new Date();
    const body = JSON.stringify(toEvent(sender, mail));
    const headers = {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
      "webhook-signature": signers.map((signer) => signer.sign(id, now, body)).join(" "),
    };
    return toResult(await post(target, { headers, body, connectMs, signal }));
  }

  return {
    takesUtf8: () => false,

    async send(mail, signal) {
      if (!hasValidEnvelope(mail, sender)) return { kind: "reject", reason: "address" };
      if (needsUtf8(mail.to)) return { kind: "retry", about: "mail", reason: "smtputf8" };
      return sendWithTimeout(sendMs, signal, (attempt) => hand(mail, attempt));
    },

    async [Symbol.asyncDispose]() {},
  };
}

/**
 * Parses webhook secrets, separated by commas or blanks, each `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks,
 * "Signature scheme"). Requests are signed with all of them, so that a receiver can switch from one to the next.
 *
 * @throws if one of them is not valid. The message does not quote it.
 */
export function readWebhookSecrets(text: string): [string, ...string[]] {
  const [first = "", ...others] = text.split(/[\s,]+/).filter((item) => item !== "");
  if ([first, ...others].every(isWebhookSecret)) return [first, ...others];
  throw new Error(
    'must be "whsec_" and 24 to 64 bytes in base64 (several while it changes): echo whsec_$(openssl rand -base64 32) makes one',
  );
}

function isWebhookSecret(secret: string): boolean {
  const [, encoded = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const bytes = Buffer.from(encoded, "base64");
  return bytes.length >= 24 && bytes.length <= 64 && bytes.toString("base64") === encoded;
}

interface Post {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly connectMs: number;
  readonly signal: AbortSignal;
}

/** HTTP status, or how far the request got without an answer. Redirects are not followed. */
type Answer = number | "unsent" | "unanswered";

/**
 * Sends a POST. Never rejects. Each request opens its own connection, since a kept one may be closing on the other side.
 *
 * `fetch` can't be used: it doesn't tell whether a failed request was sent.
 */
function post(url: URL, { headers, body, connectMs, signal }: Post): Promise<Answer> {
  const [send, connected] =
    url.protocol === "https:"
      ? ([requestHttps, "secureConnect"] as const)
      : ([requestHttp, "connect"] as const);
  return new Promise((resolve) => {
    let isSent = false;
    const request = send(url, { method: "POST", headers, agent: false, signal });
    const timer = setTimeout(() => request.destroy(), connectMs);
    request.once("socket", (socket) => {
      // The request is buffered in the socket until now.
      socket.once(connected, () => {
        isSent = true;
        clearTimeout(timer);
      });
    });
    request.once("response", (response) => {
      resolve(response.statusCode ?? 0);
      // Don't read the body: it may be endless, and may quote the mail.
      response.destroy();
    });
    // Must stay after the answer: destroying the response can cause an error.
    request.on("error", () => {});
    request.once("close", () => {
      clearTimeout(timer);
      resolve(isSent ? "unanswered" : "unsent");
    });
    request.end(body);
  });
}

/** Has no dot, because the signed content is `id.time.body`. */
function idOf({ messageId }: OutgoingMail): string {
  return `msg_${createHash("sha256").update(messageId).digest("base64url").slice(0, 32)}`;
}

function toEvent(from: MailAddress, mail: OutgoingMail) {
  return {
    type: "mail.send",
    timestamp: mail.date.toISOString(),
    data: {
      from,
      to: mail.to,
      return_path: mail.envelopeFrom ?? from.address,
      subject: mail.subject,
      text: mail.text,
      html: mail.html,
      message_id: mail.messageId,
      headers: {
        "Auto-Submitted": "auto-generated",
        ...(mail.language && { "Content-Language": mail.language }),
      },
    },
  };
}

/** Statuses about the request rather than the mail: authentication, URL, rate. */
const refusesUs = [401, 403, 404, 405, 408, 410, 421, 425, 429];

/** Statuses of a gateway whose receiver may have accepted the mail. */
const maybeAccepted = [502, 504];

function toResult(answer: Answer): SendResult {
  if (answer === "unsent") return { kind: "retry", reason: "webhook connection" };
  if (answer === "unanswered") return { kind: "retry", reason: "webhook connection", mayHaveArrived: true };
  if (answer >= 200 && answer < 300) return { kind: "sent" };
  const reason = `webhook ${answer}`;
  if (maybeAccepted.includes(answer)) return { kind: "retry", reason, mayHaveArrived: true };
  const refusesMail = answer >= 400 && answer < 500 && !refusesUs.includes(answer);
  return { kind: refusesMail ? "reject" : "retry", reason };
}
