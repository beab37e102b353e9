import type { Socket } from "node:net";

/** Serves one version of HTTP on sockets that the listener has accepted. */
export interface ConnectionHandler {
  /** Takes over a connection. It is paused, and has an error listener. */
  accept(socket: Socket): void;
  /** Finishes requests in flight, and closes each connection after its last one. */
  drain(): void;
  /** Stops the timers. Called once all connections are closed. */
  stop(): void;
}
