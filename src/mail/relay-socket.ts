import { connect, type Socket } from "node:net";
import type { SMTPPoolOptions } from "nodemailer";
import type { Relay } from "./relay.ts";

export interface SocketTimeouts {
  /** Until the relay's name is resolved and a TCP connection stands. */
  readonly connectMs: number;
  /** Until the relay answers a command. */
  readonly commandMs: number;
}

export type SocketProvider = NonNullable<SMTPPoolOptions["getSocket"]>;

/**
 * Opens the TCP connections of a nodemailer transport, because it has one limit for connecting and greeting together,
 * and one for the replies to commands and to the message: RFC 5321 §4.5.3.2 gives each its own.
 */
export function createSocketProvider(relay: Relay, timeouts: SocketTimeouts): SocketProvider {
  return (_options, callback) => {
    const socket = connect({ host: relay.host, port: relay.port });
    const timer = setTimeout(() => socket.destroy(timedOut()), timeouts.connectMs);
    let connected = false;
    socket.once("connect", () => {
      clearTimeout(timer);
      connected = true;
      // What stands beside `connection` becomes an option of this connection alone.
      callback(null, {
        connection: socket,
        logger: createReplyWatch(socket, timeouts.commandMs),
        transactionLog: true,
      });
    });
    // It stays after the connection stands: nodemailer takes its own listeners off a socket that TLS is put on.
    socket.on("error", (error) => {
      clearTimeout(timer);
      if (!connected) callback(error);
    });
  };
}

/**
 * Ends a connection whose relay leaves a command unanswered. The transaction log is where nodemailer tells what it sends
 * and receives; its text is not looked at and goes nowhere.
 */
function createReplyWatch(socket: Socket, commandMs: number) {
  let unanswered = 0;
  let timer: NodeJS.Timeout | undefined;
  socket.once("close", () => clearTimeout(timer));
  return {
    debug(entry: { tnx?: string }) {
      if (entry.tnx !== "client" && entry.tnx !== "server") return;
      // Several commands may be on their way at once (RFC 2920).
      unanswered = entry.tnx === "client" ? unanswered + 1 : Math.max(0, unanswered - 1);
      clearTimeout(timer);
      if (unanswered > 0) timer = setTimeout(() => socket.destroy(timedOut()), commandMs);
    },
  };
}

function timedOut(): Error {
  return Object.assign(new Error("the relay does not answer"), { code: "ETIMEDOUT" });
}
