import type { Socket } from "node:net";
import { Readable } from "node:stream";
import { createTransport } from "nodemailer";
import DKIM from "nodemailer/lib/dkim";
import type SMTPPool from "nodemailer/lib/smtp-pool";
import type {
  DkimSettings,
  MailAddress,
  Mailer,
  OAuthSettings,
  OutgoingMail,
  SendResult,
} from "../mailer.ts";
import { isMailbox, needsUtf8 } from "./mailbox.ts";
import { writeMessage } from "./message.ts";
import { isLoopback, parseRelay, type Relay } from "./relay.ts";
import { createSocketProvider, type SocketProvider } from "./relay-socket.ts";
import { sendWithTimeout } from "./send-with-timeout.ts";
import { toFailure } from "./smtp-failure.ts";
import { watchSmtpUtf8 } from "./smtp-utf8.ts";

/** How long the parts of a dialogue may take, in milliseconds. */
export interface SmtpTimeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  /** For each command. */
  readonly commandMs: number;
  /** For the reply to the message as a whole. */
  readonly messageMs: number;
  /** For all of it. */
  readonly sendMs: number;
}

/** Far below those of RFC 5321 §4.5.3.2, which are for mails that live for days: a code lives for minutes. */
const defaultTimeouts: SmtpTimeouts = {
  connectMs: 5_000,
  greetingMs: 10_000,
  commandMs: 10_000,
  messageMs: 60_000,
  sendMs: 90_000,
};

export interface SmtpMailerOptions {
  /** `smtp://user:password@host:port` or `smtps://…` */
  readonly url: string;
  readonly from: MailAddress;
  /** What this machine calls itself in EHLO. By default its host name, or else an address literal. */
  readonly name?: string;
  /** Whether nothing is sent before TLS stands. By default, unless the relay is on this machine. */
  readonly requireTls?: boolean;
  /** Certificates to trust in the place of the usual ones, in PEM. */
  readonly ca?: string;
  readonly timeouts?: Partial<SmtpTimeouts>;
  /** Where access tokens come from, for a URL with `?auth=xoauth2`. */
  readonly oauth?: OAuthSettings | undefined;
  readonly dkim?: DkimSettings | undefined;
}

export interface SmtpMailer extends Mailer {
  /** Whether the relay takes local parts beyond ASCII (RFC 6531), by its last greeting. Undefined: there was none. */
  takesUtf8(): boolean | undefined;
  /** Opens a connection and closes it, to learn what the relay offers. Never rejects. */
  probe(): Promise<void>;
}

/**
 * Hands mails over to one SMTP relay, over connections that are kept for the next mail.
 *
 * TLS is 1.2 or later and the certificate is verified. If TLS fails, so does the attempt: nothing falls back to clear
 * text (RFC 8314 §5.2, ASVS 12.3.1).
 *
 * @throws if the URL, the sender or the name is not usable.
 */
export function createSmtpMailer(options: SmtpMailerOptions): SmtpMailer {
  const relay = parseRelay(options.url);
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const from = requireSender(options.from);
  const sockets = new Set<Socket>();
  const utf8 = watchSmtpUtf8(keepTrack(sockets, createSocketProvider(relay, timeouts)));
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
    // More than a courier sends at a time: no mail waits in here, where no lease is looked at.
    maxConnections: 20,
    idleTimeout: 30_000,
    // A kept connection may have been closed by the relay meanwhile.
    maxRequeues: 2,
  });
  const pool = transporter as SMTPPool;
  const dkim = options.dkim && new DKIM(toDkim(options.dkim));

  /**
   * The message as it stands, without what nodemailer makes of other people's: see `writeMessage`.
   *
   * @returns the reply to it.
   */
  function handOver(mail: OutgoingMail, progress: Progress, signal: AbortSignal): Promise<string> {
    const raw = writeMessage(from, mail);
    const message = {
      // nodemailer would turn A-labels back where the local part is beyond ASCII.
      getEnvelope: () => ({ from: mail.envelopeFrom ?? from.address, to: [mail.to] }),
      messageId: () => mail.messageId,
      getHeader: () => mail.messageId,
      createReadStream: () => {
        const bytes = Readable.from(chunksOf(raw));
        // What follows the last byte is the final dot.
        return (dkim ? dkim.sign(bytes) : bytes).once("end", () => {
          progress.isComplete = true;
        });
      },
    };
    return new Promise((resolve, reject) => {
      pool.send({ data: { signal }, message } as unknown as PooledMail, (error, info) =>
        error ? reject(error) : resolve(info?.response ?? ""),
      );
    });
  }

  /** Undefined if the mail may go out. A relay that did not offer what it needs is asked once more. */
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

    send(mail, signal) {
      // Whoever made the mail has validated the address. This holds even if not: one recipient, and no other command.
      if (!isMailbox(mail.to) || !isMailbox(mail.envelopeFrom ?? from.address))
        return Promise.resolve({ kind: "reject", reason: "address" });
      return sendWithTimeout(timeouts.sendMs, signal, async (attempt) => {
        const progress: Progress = { isComplete: false };
        try {
          const failure = await utf8Failure(mail.to, attempt);
          if (failure) return failure;
          const reply = await handOver(mail, progress, attempt);
          // It has gone, and does not say that it has taken the mail along.
          if (reply.startsWith("221")) return { kind: "retry", reason: "221 data", mayHaveArrived: true };
          return { kind: "sent" };
        } catch (error) {
          return toFailure(error, progress.isComplete);
        }
      });
    },

    async [Symbol.asyncDispose]() {
      pool.close({ force: true });
      // Those of a probe are not in the pool.
      for (const socket of sockets) socket.destroy();
    },
  };
}

function keepTrack(sockets: Set<Socket>, open: SocketProvider): SocketProvider {
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

/** Of which a pool asks for what is given to it here alone. */
type PooledMail = Parameters<SMTPPool["send"]>[0];

/** Whether the whole message was written to a connection. */
interface Progress {
  isComplete: boolean;
}

/** In pieces, so that no more is read than a connection takes. */
function* chunksOf(bytes: Buffer): Generator<Buffer> {
  const size = 16 * 1024;
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

function authOf({ credentials, xoauth2 }: Relay, oauth: OAuthSettings | undefined, timeouts: SmtpTimeouts) {
  if (!credentials || !xoauth2) return credentials && { ...credentials };
  if (!oauth) throw new Error("an SMTP URL with ?auth=xoauth2 needs to know where access tokens come from");
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

/** In the words of nodemailer. */
export function toDkim({ domain, selector, privateKey }: DkimSettings) {
  return { domainName: domain, keySelector: selector, privateKey };
}

/** @throws if the sender is not usable. The message does not quote it. */
export function requireSender({ name, address }: MailAddress): MailAddress {
  if (!isMailbox(address) || needsUtf8(address))
    throw new Error("the sender's address must be a plain one, such as codes@example.com");
  if (/\p{Cc}/u.test(name)) throw new Error("the sender's name must not contain control characters");
  return { name, address };
}

function requireHostName(name: string): string {
  if (/^[a-z\d][a-z\d.-]*$|^\[[a-z\d.:]+\]$/i.test(name)) return name;
  throw new Error("the name for EHLO must be a host name or an address literal (RFC 5321 §4.1.2)");
}
