import { createRequire } from "node:module";
import { createTransport } from "nodemailer";
import type { DkimSettings, MailAddress, SendResult } from "../mailer.ts";
import { hasValidEnvelope, needsUtf8, requireSender } from "../smtp/mailbox.ts";
import { headerValue, toNodemailerDkim, writeMessage } from "../smtp/message.ts";
import { sendWithTimeout } from "../smtp/send-with-timeout.ts";
import type { Provider } from "./failover.ts";

export interface SesOptions {
  readonly region: string;
  /** Instead of the endpoint of the region. */
  readonly endpoint: string | undefined;
  readonly from: MailAddress;
  readonly dkim: DkimSettings | undefined;
  /** Until the connection is open, in milliseconds. */
  readonly connectMs?: number;
}

const sendMs = 30_000;

/**
 * Creates a provider that sends through Amazon SES (API v2, SendEmail). The AWS SDK finds the credentials: environment
 * variables, a profile, or the role of the machine. SES replaces Message-ID and Date. It receives notifications itself and
 * forwards them to the return path of the mail.
 *
 * @throws if the SDK is not installed (see `requireSesSdk`), or the sender is not usable.
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
    // The courier retries, within the lifetime of the code.
    maxAttempts: 1,
    requestHandler: { connectionTimeout: connectMs },
    ...(endpoint === undefined ? {} : { endpoint }),
  });

  /** Passes the signal to the SDK, which nodemailer doesn't. */
  function transportFor(abortSignal: AbortSignal) {
    const sesClient = {
      config: client.config,
      send: (command: unknown) =>
        client.send(command as InstanceType<typeof SendEmailCommand>, { abortSignal }),
    };
    return createTransport({
      SES: { sesClient, SendEmailCommand },
      dkim: dkim && toNodemailerDkim(dkim),
      disableFileAccess: true,
      disableUrlAccess: true,
    });
  }

  return {
    takesUtf8: () => false,

    async send(mail, signal) {
      if (!hasValidEnvelope(mail, sender)) return { kind: "reject", reason: "address" };
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

/** @throws if the AWS SDK, an optional peer dependency because of its size, is not installed. */
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

/** Errors of SendEmail that are about the mail. All others are about the account, the region or the rate. */
const aboutMail = ["MessageRejected", "BadRequestException"];

/** Start of the message about a sender (in the sandbox also a recipient) that the account has not verified. */
const notVerified = /^Email address is not verified\b/i;

/** Error codes from before the connection was open. (`TimeoutError` is any timeout; its message tells which.) */
const unconnected =
  /^(ECONNREFUSED|ENOTFOUND|EAI_\w+|EHOSTUNREACH|ENETUNREACH|ERR_TLS\w+|ERR_SSL\w+|CERT_\w+|DEPTH_\w+|SELF_SIGNED\w+|UNABLE_TO\w+)$/;

/** The reason has the status or the name of the error, never its message. */
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
