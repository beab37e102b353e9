import type { AddressInfo, Server } from "node:net";

/** Sent to the bench once the server listens. */
export interface Ready {
  readonly port: number;
  /** Headers that requests need in addition to those of their protocol. */
  readonly headers: Readonly<Record<string, string>>;
}

/** User and system time of all threads of the process, in microseconds. */
export interface CPUReading {
  readonly cpuUs: number;
}

/** Sends the bench the port, and a CPU reading whenever it asks. Exits with the bench. */
export function reportToBench(port: number, headers: Ready["headers"] = {}): void {
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuUs: user + system } satisfies CPUReading);
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.({ port, headers } satisfies Ready);
}

/** Listens on a free port of the loopback interface. */
export function listenOnFreePort(server: Server, headers?: Ready["headers"]): void {
  server.listen(0, "127.0.0.1", () => reportToBench((server.address() as AddressInfo).port, headers));
}
