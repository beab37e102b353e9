import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** Where a connection is cut: before the server gets the commit, before its reply, or within its reply. */
export const cuts = ["before the commit", "after the commit", "within the reply"] as const;
export type Cut = (typeof cuts)[number];

interface PlannedCut {
  readonly cut: Cut;
  /** Cuts the connection of a transaction that has sent this text. */
  readonly mark: string;
  readonly done: () => void;
}

/** A failing network between the service and PostgreSQL. Its URL has `prepare=off`, so that statements can be recognized. */
export interface DatabaseProxy {
  readonly url: string;
  /** The port that new connections are forwarded to. */
  port: number;
  /** While true, all data is dropped silently. */
  isSilent: boolean;
  /** Cuts one connection. Resolves when that is done. */
  cutOnce(cut: Cut, mark: string): Promise<void>;
}

/** @param target the URL of a database. */
export async function startDatabaseProxy(target: string): Promise<DatabaseProxy> {
  const url = new URL(target);
  const sockets = new Set<Socket>();
  let planned: PlannedCut | undefined;

  const server = createServer((client) => {
    const upstream = connect(proxy.port, "127.0.0.1");
    // TCP loses nothing: after lost data this connection stays silent.
    let isLost = false;
    let isMarked = false;
    let awaitingReply: PlannedCut | undefined;
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
      if (planned) isMarked ||= chunk.includes(planned.mark);
      if (planned && isMarked && chunk.includes("commit\0")) {
        const { cut: where, done } = planned;
        if (where !== "before the commit") awaitingReply = planned;
        planned = undefined;
        if (where === "before the commit") return cut(done);
      }
      upstream.write(chunk);
    });
    upstream.on("data", (chunk: Buffer) => {
      isLost ||= proxy.isSilent;
      if (isLost) return;
      if (!awaitingReply) return void client.write(chunk);
      const { cut: where, done } = awaitingReply;
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
        planned = { cut, mark, done: resolve };
      }),
  };
  return proxy;
}
