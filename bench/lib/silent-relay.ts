import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** A mail server that takes connections and never says a word. */
export interface SilentRelay {
  readonly smtpUrl: string;
  close(): void;
}

/**
 * Keeps the courier of the service waiting, so that mails are queued, as the calls have them, and their delivery (which has
 * a bench of its own) takes no CPU meanwhile. A relay that refuses would cost more than the calls.
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
