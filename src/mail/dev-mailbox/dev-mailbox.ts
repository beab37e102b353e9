import type { AddressInfo } from "node:net";
import { simpleParser } from "mailparser";
import { SMTPServer, type SMTPServerDataStream, type SMTPServerSession } from "smtp-server";
import { makeRandomId } from "../../db/core/id.ts";
import type { Clock } from "../../lib/clock.ts";

export interface CaughtMail {
  readonly id: string;
  /** Recipient of the envelope. */
  readonly to: string;
  readonly from: string;
  readonly subject: string;
  readonly text: string;
  /** Empty if the mail has no HTML part. */
  readonly html: string;
  /** RFC 3339. */
  readonly receivedTime: string;
}

/** An SMTP server in this process that keeps the mails it receives, for development and tests. */
export interface DevMailbox extends AsyncDisposable {
  readonly smtpUrl: string;
  /** Returns the last 500 mails, newest first, or those to an address, ignoring case. */
  messages(to?: string): CaughtMail[];
}

export interface DevMailboxOptions {
  readonly clock: Clock;
  /** Called for each received mail. */
  readonly onMail?: (mail: CaughtMail) => void;
}

const keptMax = 500;
const bytesMax = 1024 * 1024;

/** Listens on a free port of the loopback interface, without TLS and without authentication. */
export async function startDevMailbox({ clock, onMail }: DevMailboxOptions): Promise<DevMailbox> {
  const kept: CaughtMail[] = [];
  const keep = (mails: CaughtMail[]) => {
    for (const mail of mails) {
      onMail?.(mail);
      kept.unshift(mail);
    }
    kept.length = Math.min(kept.length, keptMax);
  };
  const server = new SMTPServer({
    disabledCommands: ["AUTH", "STARTTLS"],
    authOptional: true,
    disableReverseLookup: true,
    size: bytesMax,
    maxClients: 50,
    maxRecipients: 100,
    closeTimeout: 1_000,
    logger: false,
    onData(stream, session, callback) {
      receive(stream, session, clock)
        .then(keep)
        .then(() => callback(), callback);
    },
  });
  await listen(server);
  const { port } = server.server.address() as AddressInfo;
  return {
    smtpUrl: `smtp://127.0.0.1:${port}`,
    messages(to) {
      const wanted = to?.toLowerCase();
      return kept.filter((mail) => wanted === undefined || mail.to.toLowerCase() === wanted);
    },
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(resolve)),
  };
}

async function listen(server: SMTPServer): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
  // Errors of an open server are connections that a client closed.
  server.on("error", () => {});
}

async function receive(
  stream: SMTPServerDataStream,
  session: SMTPServerSession,
  clock: Clock,
): Promise<CaughtMail[]> {
  const parsed = await simpleParser(await readAll(stream), { skipTextToHtml: true, skipImageLinks: true });
  const content = {
    from: parsed.from?.text ?? "",
    subject: parsed.subject ?? "",
    text: parsed.text ?? "",
    html: parsed.html || "",
    receivedTime: new Date(clock.now()).toISOString(),
  };
  return session.envelope.rcptTo.map(({ address }) => ({ id: makeRandomId(), to: address, ...content }));
}

/** Reads to the end even if the message is too long, because the server can only answer then. */
async function readAll(stream: SMTPServerDataStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) {
    if (stream.byteLength <= bytesMax) chunks.push(chunk);
  }
  if (stream.sizeExceeded) throw Object.assign(new Error("the message is too long"), { responseCode: 552 });
  return Buffer.concat(chunks);
}
