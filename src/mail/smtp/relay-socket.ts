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
 * Ends a connection whose relay leaves a command unanswered, or gives an answer that nothing may follow. The transaction log
 * is where nodemailer tells what it sends and receives; its text goes nowhere.
 */
function createReplyWatch(socket: Socket, commandMs: number) {
  // Several may be on their way at once (RFC 2920).
  const unanswered: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  socket.once("close", () => clearTimeout(timer));
  return {
    debug({ tnx }: { tnx?: string }, text: string) {
      if (tnx !== "client" && tnx !== "server") return;
      if (tnx === "client") unanswered.push(text);
      else if (isOutOfTurn(unanswered.shift(), text)) socket.destroy(outOfTurn());
      clearTimeout(timer);
      if (unanswered.length > 0) timer = setTimeout(() => socket.destroy(timedOut()), commandMs);
    },
  };
}

/**
 * Whether a relay answers what ends the dialogue, though nodemailer, which looks at the first digit, would go on. After
 * anything but 354 a relay takes the lines of the message for commands, and what it says to these would pass for what became of the
 * mail (RFC 5321 §4.3.2). After 221 there is nobody any more.
 */
function isOutOfTurn(command: string | undefined, reply: string): boolean {
  if (command === "DATA") return /^[23]/.test(reply) && !reply.startsWith("354");
  return reply.startsWith("221") && command !== "QUIT";
}

function outOfTurn(): Error {
  return Object.assign(new Error("the relay answers out of turn"), { code: "EPROTOCOL" });
}

function timedOut(): Error {
  return Object.assign(new Error("the relay does not answer"), { code: "ETIMEDOUT" });
}
