import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { createTransport } from "nodemailer";
import type MimeNode from "nodemailer/lib/mime-node";
import type SMTPPool from "nodemailer/lib/smtp-pool";
import { isLoopback } from "../../lib/loopback.ts";
import type {
  DkimSettings,
  MailAddress,
  Mailer,
  OAuthSettings,
  OutgoingMail,
  SendResult,
} from "../mailer.ts";
import { hasValidEnvelope, needsUtf8, requireSender } from "./mailbox.ts";
import { createDkim, writeMessage } from "./message.ts";
import { parseRelay, type Relay } from "./relay.ts";
import { createSocketProvider, type SocketProvider } from "./relay-socket.ts";
import { sendWithTimeout } from "./send-with-timeout.ts";
import { toFailure } from "./smtp-failure.ts";
import { watchSmtpUtf8 } from "./smtp-utf8.ts";

/** Limits for the steps of a dialogue, in milliseconds. */
export interface SmtpTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  /** For each command. */
  readonly commandMs: number;
  /** For the reply to the message. */
  readonly messageMs: number;
  /** For the whole attempt. */
  readonly sendMs: number;
}

/** Far below those of RFC 5321 §4.5.3.2, which are for mails that live for days. A code lives for minutes. */
const defaultTimeouts: SmtpTimeouts = {
  connectMs: 5_000,
  greetingMs: 10_000,
  commandMs: 10_000,
  messageMs: 60_000,
  sendMs: 90_000,
};

export interface SmtpMailerOptions {
  /** `smtp://user:password@host:port` or `smtps://…`; see `parseRelay`. */
  readonly url: string;
  readonly from: MailAddress;
  /** Name of this machine in EHLO. Default: its host name, or an address literal. */
  readonly name?: string;
  /** Send nothing without TLS. Default: unless the relay is on this machine. */
  readonly requireTls?: boolean;
  /** Trusted certificates instead of the system's, in PEM. */
  readonly ca?: string;
  readonly timeouts?: Partial<SmtpTimeouts>;
  /** Source of access tokens, required for a URL with `?auth=xoauth2`. */
  readonly oauth?: OAuthSettings | undefined;
  readonly dkim?: DkimSettings | undefined;
}

export interface SmtpMailer extends Mailer {
  /** Whether the relay's last greeting offered SMTPUTF8 (RFC 6531). Undefined before the first greeting. */
  takesUtf8(): boolean | undefined;
  /** Opens and closes a connection, to learn what the relay offers. Never rejects. */
  probe(): Promise<void>;
}

/**
 * Creates a mailer for one SMTP relay. Connections are kept for later mails.
 *
 * TLS is 1.2 or later and the certificate is verified. If TLS fails, so does the attempt, without a fallback to clear text
 * (RFC 8314 §5.2, ASVS 12.3.1).
 *
 * @throws if the URL, the sender or the name is not usable.
 */
export function createSmtpMailer(options: SmtpMailerOptions): SmtpMailer {
  const relay = parseRelay(options.url);
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const from = requireSender(options.from);
  const sockets = new Set<Socket>();
  const utf8 = watchSmtpUtf8(trackSockets(sockets, createSocketProvider(relay, timeouts)));
  const { transporter } = createTransport({
    pool: true,
    host: relay.host,
    port: relay.port,
    secure: relay.implicitTls,
    auth: authOf(relay, options.oauth, timeouts),
    name: options.name && requireHostName(options.name),
    requireTLS: options.requireTls ?? !isLoopback(relay.host),
    tls: { minVersion: "TLSv1.2", rejectUnauthorized: true, ca: options.ca },
    getSocket: utf8.getSocket,
    connectionTimeout: timeouts.connectMs + timeouts.greetingMs,
    greetingTimeout: timeouts.greetingMs,
    socketTimeout: timeouts.messageMs,
    socketCloseTimeout: 1_000,
    maxResponseSize: 64 * 1024,
    // As many as the courier sends at a time: a mail that waits in the pool would outlive its lease unnoticed.
    maxConnections: 20,
    idleTimeout: 30_000,
    // The relay may have closed a kept connection.
    maxRequeues: 2,
  });
  const pool = transporter as SMTPPool;
  const dkim = options.dkim && createDkim(options.dkim);

  /**
   * Gives the pool a serialized message. `sendMail` takes one as well, but streams it through several buffers: that is
   * slower (see docs/performance.md), and hides whether the relay has read all of it.
   *
   * @returns the reply to the message.
   */
  function handOver(mail: OutgoingMail, progress: Progress, signal: AbortSignal): Promise<string> {
    const raw = writeMessage(from, mail);
    const message: PooledMail["message"] = {
      // Not MimeNode's own envelope, which decodes A-labels if the local part has non-ASCII characters.
      getEnvelope: () => ({ from: mail.envelopeFrom ?? from.address, to: [mail.to] }),
      messageId: () => mail.messageId,
      getHeader: () => mail.messageId,
      createReadStream: () => {
        const bytes = Readable.from(chunksOf(raw));
        // Only the final dot follows the last byte.
        return (dkim ? dkim.sign(bytes) : bytes).once("end", () => {
          progress.isComplete = true;
        });
      },
    };
    const pooled: PooledMail = { data: { signal }, message };
    return new Promise((resolve, reject) => {
      pool.send(pooled as MailMessage, (error, info) =>
        error ? reject(error) : resolve(info?.response ?? ""),
      );
    });
  }

  /** Returns undefined if the address can be sent to. Asks a relay again that didn't offer SMTPUTF8. */
  async function utf8Failure(address: string, signal: AbortSignal): Promise<SendResult | undefined> {
    if (!needsUtf8(address) || utf8.isOffered()) return undefined;
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    await Promise.race([pool.verify(), aborted]);
    return utf8.isOffered() ? undefined : { kind: "retry", about: "mail", reason: "smtputf8" };
  }

  return {
    takesUtf8: utf8.isOffered,

    async probe() {
      await pool.verify().catch(() => {});
    },

    async send(mail, signal) {
      if (!hasValidEnvelope(mail, from)) return { kind: "reject", reason: "address" };
      return sendWithTimeout(timeouts.sendMs, signal, async (attempt) => {
        const progress: Progress = { isComplete: false };
        try {
          const failure = await utf8Failure(mail.to, attempt);
          if (failure) return failure;
          const reply = await handOver(mail, progress, attempt);
          // The relay closes the connection without saying whether it accepted the mail.
          if (reply.startsWith("221")) return { kind: "retry", reason: "221 data", mayHaveArrived: true };
          return { kind: "sent" };
        } catch (error) {
          return toFailure(error, progress.isComplete);
        }
      });
    },

    async [Symbol.asyncDispose]() {
      pool.close({ force: true });
      // Sockets of a probe are not in the pool.
      for (const socket of sockets) socket.destroy();
    },
  };
}

function trackSockets(sockets: Set<Socket>, open: SocketProvider): SocketProvider {
  return (options, callback) =>
    open(options, (error, socketOptions) => {
      const socket = socketOptions ? socketOptions.connection : undefined;
      if (socket) {
        sockets.add(socket);
        socket.once("close", () => sockets.delete(socket));
      }
      callback(error, socketOptions);
    });
}

type MailMessage = Parameters<SMTPPool["send"]>[0];

/** The part of a nodemailer message that a pool reads. */
interface PooledMail {
  readonly data: Pick<MailMessage["data"], "signal">;
  readonly message: Pick<MimeNode, "getEnvelope" | "messageId" | "getHeader" | "createReadStream">;
}

/** Whether the whole message was written to a connection. */
interface Progress {
  isComplete: boolean;
}

/** Splits the message, so that no more is read than the connection accepts. */
function* chunksOf(bytes: Buffer): Generator<Buffer> {
  const size = 16 * 1024;
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

function authOf({ credentials, xoauth2 }: Relay, oauth: OAuthSettings | undefined, timeouts: SmtpTimeouts) {
  if (!credentials || !xoauth2) return credentials && { ...credentials };
  if (!oauth) throw new Error("an SMTP URL with ?auth=xoauth2 needs OAuth settings for access tokens");
  return {
    type: "OAuth2" as const,
    user: credentials.user,
    clientId: oauth.clientId,
    clientSecret: oauth.clientSecret,
    refreshToken: oauth.refreshToken,
    accessUrl: oauth.tokenUrl,
    requestTimeout: timeouts.commandMs,
  };
}

function requireHostName(name: string): string {
  if (/^[a-z\d][a-z\d.-]*$|^\[[a-z\d.:]+\]$/i.test(name)) return name;
  throw new Error("the name for EHLO must be a host name or an address literal (RFC 5321 §4.1.2)");
}
