import { createHash } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { isMailbox, needsUtf8 } from "../mailbox.ts";
import type { MailAddress, OutgoingMail, SendResult } from "../smtp.ts";
import { requireSender } from "../smtp.ts";
import { sendWithin } from "../within.ts";
import type { Provider } from "./failover.ts";

export interface WebhookOptions {
  readonly url: string;
  /** `whsec_` and base64 of 24 to 64 bytes (Standard Webhooks, "Signature scheme"). */
  readonly secret: string;
  readonly from: MailAddress;
}

const timeoutMs = 10_000;

/**
 * Hands mails over to any service that takes a POST, signed as Standard Webhooks 1.0 has it: `webhook-id` stays the same
 * over all attempts at one mail, so that the receiver can tell a repetition; `webhook-signature` covers id, time and body.
 */
export function createWebhookProvider({ url, secret, from }: WebhookOptions): Provider {
  const webhook = new Webhook(requireWebhookSecret(secret));
  const sender = requireSender(from);

  async function post(mail: OutgoingMail, signal: AbortSignal): Promise<SendResult> {
    const id = idOf(mail);
    const now = new Date();
    const body = JSON.stringify(toEvent(sender, mail));
    try {
      const response = await fetch(url, {
        method: "POST",
        // The code would go wherever the answer says.
        redirect: "manual",
        headers: {
          "content-type": "application/json",
          "webhook-id": id,
          "webhook-timestamp": String(Math.floor(now.getTime() / 1_000)),
          "webhook-signature": webhook.sign(id, now, body),
        },
        body,
        signal,
      });
      // Nobody reads it: it may quote the mail, and have no end.
      await response.body?.cancel();
      return toResult(response.status);
    } catch {
      return { kind: "retry", reason: "webhook connection" };
    }
  }

  return {
    takesUtf8: () => false,

    async send(mail, signal) {
      if (!isMailbox(mail.to) || !isMailbox(mail.envelopeFrom ?? sender.address))
        return { kind: "reject", reason: "address" };
      if (needsUtf8(mail.to)) return { kind: "retry", about: "mail", reason: "smtputf8" };
      return sendWithin(timeoutMs, signal, (attempt) => post(mail, attempt));
    },

    async [Symbol.asyncDispose]() {},
  };
}

/** @throws if it is none. The message does not quote it. */
export function requireWebhookSecret(secret: string): string {
  const [, encoded = ""] = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret) ?? [];
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.length >= 24 && bytes.length <= 64 && bytes.toString("base64") === encoded) return secret;
  throw new Error(
    'must be "whsec_" and 24 to 64 bytes in base64: echo whsec_$(openssl rand -base64 32) makes one',
  );
}

/** Without a dot, which separates it from the time in what is signed. */
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

/** What a receiver refuses whatever the mail: our signature, the place, the pace. */
const refusesUs = [401, 403, 404, 405, 408, 410, 421, 425, 429];

function toResult(status: number): SendResult {
  if (status >= 200 && status < 300) return { kind: "sent" };
  const reason = `webhook ${status}`;
  const refusesMail = status >= 400 && status < 500 && !refusesUs.includes(status);
  return { kind: refusesMail ? "reject" : "retry", reason };
}
