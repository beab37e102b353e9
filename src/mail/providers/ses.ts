import { createRequire } from "node:module";
import { createTransport } from "nodemailer";
import type { DkimSettings, MailAddress, SendResult } from "../mailer.ts";
import { isMailbox, needsUtf8 } from "../smtp/mailbox.ts";
import { headerValue, writeMessage } from "../smtp/message.ts";
import { sendWithTimeout } from "../smtp/send-with-timeout.ts";
import { requireSender, toDkim } from "../smtp/smtp-mailer.ts";
import type { Provider } from "./failover.ts";

export interface SesOptions {
  readonly region: string;
  /** In the place of the one of the region. */
  readonly endpoint: string | undefined;
  readonly from: MailAddress;
  readonly dkim: DkimSettings | undefined;
  /** Until a connection stands, in milliseconds. */
  readonly connectMs?: number;
}

const sendMs = 30_000;

/**
 * Hands mails over to Amazon SES (API v2, SendEmail). Credentials are found by the AWS SDK: its environment variables, a
 * profile, or the role of the machine. SES gives mails a Message-ID and Date of its own, and comes back to the sender's
 * own return path, whose notifications it forwards to the one of the mail.
 *
 * @throws if the SDK is not installed (see `requireSesSdk`).
 */
export async function createSesProvider({
  region,
  endpoint,
  from,
  dkim,
  connectMs = 5_000,
}: SesOptions): Promise<Provider> {
  const { SESv2Client, SendEmailCommand } = await loadSdk();
  const sender = requireSender(from);
  const client = new SESv2Client({
    region,
    // The courier tries again, and knows until when.
    maxAttempts: 1,
    requestHandler: { connectionTimeout: connectMs },
    ...(endpoint === undefined ? {} : { endpoint }),
  });

  /** nodemailer does not pass the signal on to the SDK. */
  function transportFor(abortSignal: AbortSignal) {
    const sesClient = {
      config: client.config,
      send: (command: unknown) =>
        client.send(command as InstanceType<typeof SendEmailCommand>, { abortSignal }),
    };
    return createTransport({
      SES: { sesClient, SendEmailCommand },
      dkim: dkim && toDkim(dkim),
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  return {
    takesUtf8: () => false,

    async send(mail, signal) {
      if (!isMailbox(mail.to) || !isMailbox(mail.envelopeFrom ?? sender.address))
        return { kind: "reject", reason: "address" };
      if (needsUtf8(mail.to)) return { kind: "retry", about: "mail", reason: "smtputf8" };
      return sendWithTimeout(sendMs, signal, async (attempt) => {
        try {
          const ses = {
            FromEmailAddress: headerValue("From", sender),
            ...(mail.envelopeFrom && { FeedbackForwardingEmailAddress: mail.envelopeFrom }),
          };
          const envelope = {
            from: { name: "", address: mail.envelopeFrom ?? sender.address },
            to: { name: "", address: mail.to },
          };
          const raw = writeMessage(sender, mail);
          await transportFor(attempt).sendMail({ envelope, raw, signal: attempt, ses });
          return { kind: "sent" };
        } catch (error) {
          return toFailure(error);
        }
      });
    },

    async [Symbol.asyncDispose]() {
      client.destroy();
    },
  };
}

/** @throws if the SDK is not installed: it is large, and most do without it. */
export function requireSesSdk(): void {
  try {
    createRequire(import.meta.url).resolve("@aws-sdk/client-sesv2");
  } catch {
    throw new Error(
      "has ses://, which needs the AWS SDK, which is not installed: npm install @aws-sdk/client-sesv2",
    );
  }
}

async function loadSdk() {
  requireSesSdk();
  return await import("@aws-sdk/client-sesv2");
}

/**
 * The errors of SendEmail that are about the mail; all others are about the account, the region or the pace. Their names
 * are told, and nothing else that SES says.
 */
const aboutMail = ["MessageRejected", "BadRequestException"];

/** So begins what SES says of a sender, or in its sandbox of a recipient, that the account has not verified. */
const notVerified = /^Email address is not verified\b/i;

/** Whatever failed with these had no connection yet (`TimeoutError` is any timeout: its message tells which). */
const unconnected =
  /^(ECONNREFUSED|ENOTFOUND|EAI_\w+|EHOSTUNREACH|ENETUNREACH|ERR_TLS\w+|ERR_SSL\w+|CERT_\w+|DEPTH_\w+|SELF_SIGNED\w+|UNABLE_TO\w+)$/;

function toFailure(error: unknown): SendResult {
  const {
    name = "",
    code = "",
    message = "",
    $metadata,
  } = error as {
    name?: string;
    code?: string;
    message?: string;
    $metadata?: { httpStatusCode?: number };
  };
  const status = $metadata?.httpStatusCode;
  if (status === undefined) {
    const isUnsent =
      unconnected.test(code) ||
      name === "CredentialsProviderError" ||
      message.includes("did not establish a connection");
    const reason = "ses connection";
    return isUnsent ? { kind: "retry", reason } : { kind: "retry", reason, mayHaveArrived: true };
  }
  if (!aboutMail.includes(name)) return { kind: "retry", reason: `ses ${status}` };
  const reason = `ses ${name}`;
  return notVerified.test(message) ? { kind: "reject", about: "sender", reason } : { kind: "reject", reason };
}
