import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { openRows } from "../../lib/rows.ts";
import { readAll } from "../../wire/servers/bare.ts";

// The floor: node:http and better-sqlite3 alone. No protocol, no token, no check, no log; what waits is written in one
// commit, durably, as the service does it.

const rows = openRows(process.argv[2]!);
// As the service: this is about what the machine can do.
rows.database.pragma("wal_autocheckpoint = 16000");
const commands = {
  begin: rows.database.prepare("begin immediate"),
  commit: rows.database.prepare("commit"),
};
const waiting: { readonly work: () => object; readonly response: ServerResponse }[] = [];

function commit(): void {
  const group = waiting.splice(0);
  commands.begin.run();
  const replies = group.map(({ work }) => work());
  commands.commit.run();
  for (const [i, { response }] of group.entries()) reply(response, replies[i]);
}

function reply(response: ServerResponse, message: unknown): void {
  const text = JSON.stringify(message);
  response.writeHead(200, {
    "content-type": "application/json",
    "content-length": Buffer.byteLength(text),
  });
  response.end(text);
}

const server = createServer((request, response) => {
  readAll(request, (body) => {
    const message = JSON.parse(body.toString());
    const work = request.url?.endsWith("/VerifyOTPEmail")
      ? () => rows.verify(message)
      : () => rows.add(message);
    if (waiting.push({ work, response }) === 1) setImmediate(commit);
  });
});
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.error(JSON.stringify({ msg: "listening", origin: `http://127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => process.exit(0));
