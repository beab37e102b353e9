import type { SocketProvider } from "./relay-socket.ts";

/** The part of a connection's log that is used here, as nodemailer calls it. */
interface TransactionLog {
  debug(entry: { tnx?: string }, text?: string): void;
}

/**
 * Learns from each connection whether the relay offers SMTPUTF8 (RFC 6531 §3.1). The reply to the last EHLO counts: after
 * STARTTLS that is the encrypted one, which can't be tampered with.
 *
 * @param open opens the connections. Its log receives everything that is observed here.
 */
export function watchSmtpUtf8(open: SocketProvider) {
  let offered: boolean | undefined;

  const getSocket: SocketProvider = (options, callback) =>
    open(options, (error, socketOptions) => {
      const log = (socketOptions as { logger?: TransactionLog } | undefined)?.logger;
      if (error || !log) return callback(error, socketOptions);
      callback(null, { ...socketOptions, logger: observe(log) });
    });

  function observe(log: TransactionLog): TransactionLog {
    let command = "";
    return {
      debug(entry, text = "") {
        log.debug(entry, text);
        if (entry.tnx === "client") command = text.slice(0, 4).toUpperCase();
        if (entry.tnx !== "server" || (command !== "EHLO" && command !== "HELO")) return;
        offered = command === "EHLO" && /^250[ -]SMTPUTF8\b/im.test(text);
      },
    };
  }

  return { getSocket, isOffered: () => offered };
}
