import { connect, type Socket } from "node:net";
import type { SMTPPoolOptions } from "nodemailer";
import type { Relay } from "./relay.ts";

export interface SocketTimeouts {
  /** Until the name is resolved and the TCP connection is open, in milliseconds. */
  readonly connectMs: number;
  /** Until the relay answers a command, in milliseconds. */
  readonly commandMs: number;
}

export type SocketProvider = NonNullable<SMTPPoolOptions["getSocket"]>;

/**
 * Opens the TCP connections of a nodemailer transport. nodemailer has a single timeout for connecting and the greeting, and
 * a single one for all replies. RFC 5321 §4.5.3.2 gives each its own.
 */
export function createSocketProvider(relay: Relay, timeouts: SocketTimeouts): SocketProvider {
  return (_options, callback) => {
    const socket = connect({ host: relay.host, port: relay.port });
    const timer = setTimeout(() => socket.destroy(timedOut()), timeouts.connectMs);
    let connected = false;
    socket.once("connect", () => {
      clearTimeout(timer);
      connected = true;
      // nodemailer merges these into the options of this connection.
      callback(null, {
        connection: socket,
        logger: createReplyWatch(socket, timeouts.commandMs),
        transactionLog: true,
      });
    });
    // Must stay for the life of the socket: nodemailer removes its own listeners when it upgrades to TLS.
    socket.on("error", (error) => {
      clearTimeout(timer);
      if (!connected) callback(error);
    });
  };
}

/**
 * Destroys a connection whose relay doesn't answer a command in time, or answers out of turn. Observes the dialogue through
 * nodemailer's transaction log, whose text is not written anywhere.
 */
function createReplyWatch(socket: Socket, commandMs: number) {
  // Commands may be pipelined (RFC 2920).
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
 * Reports whether a reply must end the dialogue although nodemailer, which checks only the first digit, would continue. If
 * the reply to DATA isn't 354, the relay takes the lines of the message for commands, and its replies to them would count
 * as the result (RFC 5321 §4.3.2). After 221 the relay is gone.
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
