import type { Socket } from "node:net";

/** One version of HTTP, on sockets that somebody else accepts. */
export interface ConnectionHandler {
  /** Takes over a connection, which is paused and has its error listener. */
  accept(socket: Socket): void;
  /** Lets what is in flight finish and ends every connection after it. */
  drain(): void;
  /** Stops the timers, once all connections are closed. */
  stop(): void;
}
