import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** A mail server that accepts connections and never sends a byte. */
export interface SilentRelay {
  readonly smtpUrl: string;
  close(): void;
}

/**
 * Keeps the courier of the service waiting: mails are queued, but delivering them, which has its own bench, uses no CPU. A relay
 * that refuses mails would cost more CPU than the measured calls.
 */
export async function startSilentRelay(): Promise<SilentRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    smtpUrl: `smtp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
