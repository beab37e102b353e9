import { createTransport, type SendMailOptions } from "nodemailer";
import { isLoopback, parseRelay } from "./relay.ts";
import { createSocketProvider } from "./relay-socket.ts";
import { toFailure } from "./smtp-failure.ts";

/**
 * What became of a mail. `retry`: it may go through later. `reject`: this mail never will. `reason` is fit for logs and
 * tables: a reply code with its phase, or a word, and never the relay's own text or an address.
 */
export type SendResult =
  | { readonly kind: "sent" }
  | { readonly kind: "retry"; readonly reason: string }
  | { readonly kind: "reject"; readonly reason: string };

export interface OutgoingMail {
  /** A validated mailbox. */
  readonly to: string;
  /** Where a notification goes if the mail comes back (RFC 5321 §4.4). Without it: to the sender. */
  readonly envelopeFrom?: string | undefined;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Of both parts (BCP 47). */
  readonly language?: string;
  /** With its angle brackets. Message-ID and date stay the same over all attempts. */
  readonly messageId: string;
  readonly date: Date;
}

/** Hands mails over. */
export interface Mailer extends AsyncDisposable {
  /** Never rejects, and resolves soon after `signal` aborts. */
  send(mail: OutgoingMail, signal: AbortSignal): Promise<SendResult>;
}

export interface MailAddress {
  readonly name: string;
  readonly address: string;
}

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
}

/**
 * Hands mails over to one SMTP relay, over connections that are kept for the next mail.
 *
 * TLS is 1.2 or later and the certificate is verified. If TLS fails, so does the attempt: nothing falls back to clear
 * text (RFC 8314 §5.2, ASVS 12.3.1).
 *
 * @throws if the URL, the sender or the name is not usable.
 */
export function createSmtpMailer(options: SmtpMailerOptions): Mailer {
  const relay = parseRelay(options.url);
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const from = requireSender(options.from);
  const transport = createTransport({
    pool: true,
    host: relay.host,
    port: relay.port,
    secure: relay.implicitTls,
    auth: relay.credentials && { ...relay.credentials },
    name: options.name && requireHostName(options.name),
    requireTLS: options.requireTls ?? !isLoopback(relay.host),
    tls: { minVersion: "TLSv1.2", rejectUnauthorized: true, ca: options.ca },
    getSocket: createSocketProvider(relay, timeouts),
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
    disableFileAccess: true,
    disableUrlAccess: true,
  });

  return {
    async send(mail, signal) {
      // Whoever made the mail has validated the address. This holds even if not: one recipient, and no other command.
      if (!isMailbox(mail.to) || !isMailbox(mail.envelopeFrom ?? from.address))
        return { kind: "reject", reason: "address" };
      const attempt = new AbortController();
      const abort = () => attempt.abort();
      const timer = setTimeout(abort, timeouts.sendMs);
      signal.addEventListener("abort", abort, { once: true });
      if (signal.aborted) abort();
      try {
        await transport.sendMail({ ...toMessage(from, mail), signal: attempt.signal });
        return { kind: "sent" };
      } catch (error) {
        const failure = toFailure(error);
        return attempt.signal.aborted && !signal.aborted ? { kind: "retry", reason: "timeout" } : failure;
      } finally {
        clearTimeout(timer);
        signal.removeEventListener("abort", abort);
      }
    },

    async [Symbol.asyncDispose]() {
      transport.close({ force: true });
    },
  };
}

/** Addresses are given as objects throughout: nodemailer would parse strings. */
function toMessage(from: MailAddress, mail: OutgoingMail): SendMailOptions {
  const to = { name: "", address: mail.to };
  return {
    from,
    to,
    envelope: { from: { name: "", address: mail.envelopeFrom ?? from.address }, to },
    subject: mail.subject,
    text: mail.text,
    html: mail.html,
    messageId: mail.messageId,
    date: mail.date,
    // Base64 hides a text from those who look for spam, and its lines from those who read the source.
    textEncoding: "quoted-printable",
    headers: {
      "Auto-Submitted": "auto-generated",
      ...(mail.language && { "Content-Language": mail.language }),
    },
    xMailer: false,
  };
}

function requireSender({ name, address }: MailAddress): MailAddress {
  if (!isMailbox(address))
    throw new Error("the sender's address must be a plain one, such as codes@example.com");
  if (/\p{Cc}/u.test(name)) throw new Error("the sender's name must not contain control characters");
  return { name, address };
}

function requireHostName(name: string): string {
  if (/^[a-z\d][a-z\d.-]*$|^\[[a-z\d.:]+\]$/i.test(name)) return name;
  throw new Error("the name for EHLO must be a host name or an address literal (RFC 5321 §4.1.2)");
}

/** A dot-atom of ASCII, an @, and a domain name: nothing that any parser could read as more than one address. */
function isMailbox(address: string): boolean {
  return address.length <= 254 && /^[\w!#$%&'*+/=?^`{|}~.-]+@[a-z\d]([a-z\d.-]*[a-z\d])?$/i.test(address);
}
