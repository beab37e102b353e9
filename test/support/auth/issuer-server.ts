import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { onTestFinished } from "vitest";
import type { TestKey } from "./tokens.ts";

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** An HTTP server with configurable answers, which records the requested paths. */
export interface IssuerServer {
  readonly origin: string;
  readonly asked: string[];
  /** By path. Any other path is 404. */
  readonly answers: Map<string, Answer>;
  /** Resolves when `count` requests have arrived in total. */
  askedTimes(count: number): Promise<void>;
}

/** Starts a server that stops at the end of the test. */
export async function startServer(): Promise<IssuerServer> {
  const asked: string[] = [];
  const answers = new Map<string, Answer>();
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.push(path);
    server.emit("asked");
    const answer = answers.get(path);
    if (answer) answer(request, response);
    else response.writeHead(404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });
  const { port } = server.address() as AddressInfo;
  return {
    origin: `http://127.0.0.1:${port}`,
    asked,
    answers,
    async askedTimes(count) {
      while (asked.length < count) await once(server, "asked");
    },
  };
}

export function json(value: unknown, type = "application/json"): Answer {
  return (_, response) => response.writeHead(200, { "content-type": type }).end(JSON.stringify(value));
}

/** Starts a server that publishes the keys at `/keys`. Its origin is the issuer. */
export async function startIssuer(...keys: readonly TestKey[]) {
  const server = await startServer();
  const publish = (...published: readonly TestKey[]) =>
    server.answers.set("/keys", json({ keys: published.map(({ jwk }) => jwk) }));
  publish(...keys);
  return Object.assign(server, {
    publish,
    config: { issuer: server.origin, jwksUri: `${server.origin}/keys` },
  });
}
