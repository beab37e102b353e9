import type { SocketProvider } from "./relay-socket.ts";

/** The log of a connection, as nodemailer calls it. */
interface TransactionLog {
  debug(entry: { tnx?: string }, text?: string): void;
}

/**
 * Learns from each connection whether the relay offers SMTPUTF8 (RFC 6531 §3.1): what it said to the last EHLO counts.
 * Where there is STARTTLS that is the one under TLS, which nobody on the way has changed.
 *
 * @param open opens the connections; what it logs of them is passed on.
 */
export function watchSmtpUtf8(open: SocketProvider) {
  let offered: boolean | undefined;

  const getSocket: SocketProvider = (options, callback) =>
    open(options, (error, socketOptions) => {
      const log = (socketOptions as { logger?: TransactionLog } | undefined)?.logger;
      if (error || !log) return callback(error, socketOptions);
      callback(null, { ...socketOptions, logger: listen(log) });
    });

  function listen(log: TransactionLog): TransactionLog {
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
