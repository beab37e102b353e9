import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** Where a connection is cut: before the server gets the commit, before anyone hears of it, or within its reply. */
export const cuts = ["before the commit", "after the commit", "within the reply"] as const;
export type Cut = (typeof cuts)[number];

interface Plan {
  readonly cut: Cut;
  /** Of which transaction: one that has sent this text. */
  readonly mark: string;
  readonly done: () => void;
}

/** Stands between the service and PostgreSQL, as a network that fails. Statements must not be prepared by name (`prepare=off`). */
export interface DatabaseProxy {
  readonly url: string;
  /** Where new connections lead. */
  port: number;
  /** While this is true nothing comes through, and nobody is told. */
  isSilent: boolean;
  /** Cuts a connection once. Resolves when that has been done. */
  cutOnce(cut: Cut, mark: string): Promise<void>;
}

/** @param target the URL of a database. */
export async function startDatabaseProxy(target: string): Promise<DatabaseProxy> {
  const url = new URL(target);
  const sockets = new Set<Socket>();
  let plan: Plan | undefined;

  const server = createServer((client) => {
    const upstream = connect(proxy.port, "127.0.0.1");
    // What was lost on the way never comes again: to this connection the network stays silent.
    let isLost = false;
    let isMarked = false;
    let replyTo: Plan | undefined;
    const cut = (done?: () => void) => {
      client.destroy();
      upstream.destroy();
      done?.();
    };
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        if (!isLost && !proxy.isSilent) cut();
      });
    }
    client.on("data", (chunk: Buffer) => {
      isLost ||= proxy.isSilent;
      if (isLost) return;
      if (plan) isMarked ||= chunk.includes(plan.mark);
      if (plan && isMarked && chunk.includes("commit\0")) {
        const { cut: where, done } = plan;
        if (where === "before the commit") {
          plan = undefined;
          return cut(done);
        }
        replyTo = plan;
        plan = undefined;
      }
      upstream.write(chunk);
    });
    upstream.on("data", (chunk: Buffer) => {
      isLost ||= proxy.isSilent;
      if (isLost) return;
      if (!replyTo) return void client.write(chunk);
      const { cut: where, done } = replyTo;
      if (where === "after the commit") return cut(done);
      client.write(chunk.subarray(0, 4), () => cut(done));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const proxied = new URL(target);
  proxied.port = String((server.address() as AddressInfo).port);
  proxied.searchParams.set("prepare", "off");
  const proxy: DatabaseProxy = {
    url: proxied.href,
    port: Number(url.port),
    isSilent: false,
    cutOnce: (cut, mark) =>
      new Promise((resolve) => {
        plan = { cut, mark, done: resolve };
      }),
  };
  return proxy;
}
