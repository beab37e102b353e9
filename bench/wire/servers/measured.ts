import type { AddressInfo, Server } from "node:net";

/** What a server tells the bench once it can be called. */
export interface Ready {
  readonly port: number;
  /** What a request must have beside the headers of its protocol. */
  readonly headers: Readonly<Record<string, string>>;
}

/** CPU that the process has used, of all its threads, in user and system, in microseconds. */
export interface CPUReading {
  readonly cpuUs: number;
}

/** Tells the bench where this process listens, and from then on what it has used of the CPU. It ends with the bench. */
export function beMeasured(port: number, headers: Ready["headers"] = {}): void {
  process.on("message", () => {
    const { user, system } = process.cpuUsage();
    process.send?.({ cpuUs: user + system } satisfies CPUReading);
  });
  process.on("disconnect", () => process.exit(0));
  process.send?.({ port, headers } satisfies Ready);
}

/** Listens on a free port of this machine. */
export function listenMeasured(server: Server, headers?: Ready["headers"]): void {
  server.listen(0, "127.0.0.1", () => beMeasured((server.address() as AddressInfo).port, headers));
}
