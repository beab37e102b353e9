import { createTransport } from "nodemailer";
import { isMailbox, needsUtf8 } from "../mailbox.ts";
import {
  type DkimSettings,
  type MailAddress,
  requireSender,
  type SendResult,
  toDkim,
  toMessage,
} from "../smtp.ts";
import { sendWithin } from "../within.ts";
import type { Provider } from "./failover.ts";

export interface SesOptions {
  readonly region: string;
  /** In the place of the one of the region. */
  readonly endpoint: string | undefined;
  readonly from: MailAddress;
  readonly dkim: DkimSettings | undefined;
}

const connectMs = 5_000;
const sendMs = 30_000;

/**
 * Hands mails over to Amazon SES (API v2, SendEmail). Credentials are found by the AWS SDK: its environment variables, a
 * profile, or the role of the machine. SES gives mails a Message-ID and Date of its own.
 *
 * @throws if the SDK is not installed: it is large, and most do without it.
 */
export async function createSesProvider({ region, endpoint, from, dkim }: SesOptions): Promise<Provider> {
  const { SESv2Client, SendEmailCommand } = await loadSdk();
  const sender = requireSender(from);
  const client = new SESv2Client({
    region,
    // The courier tries again, and knows until when.
    maxAttempts: 1,
    requestHandler: { connectionTimeout: connectMs, requestTimeout: sendMs },
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
      return sendWithin(sendMs, signal, async (attempt) => {
        try {
          await transportFor(attempt).sendMail({ ...toMessage(sender, mail), signal: attempt });
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

async function loadSdk() {
  try {
    return await import("@aws-sdk/client-sesv2");
  } catch {
    throw new Error("ses:// needs the AWS SDK, which is not installed: npm install @aws-sdk/client-sesv2");
  }
}

/**
 * The errors of SendEmail that are about the mail; all others are about the account, the region or the pace. Their names
 * are told, and nothing else that SES says.
 */
const aboutMail = ["MessageRejected", "BadRequestException"];

function toFailure(error: unknown): SendResult {
  const { name = "", $metadata } = error as { name?: string; $metadata?: { httpStatusCode?: number } };
  const status = $metadata?.httpStatusCode;
  if (aboutMail.includes(name)) return { kind: "reject", reason: `ses ${name}` };
  return { kind: "retry", reason: status === undefined ? "ses connection" : `ses ${status}` };
}
