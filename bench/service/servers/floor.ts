import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { readAll } from "../../lib/read-all.ts";
import { openRows } from "../../lib/rows.ts";

// The floor: node:http and better-sqlite3 alone, without protocol, token, checks and log. Like the service, it commits all
// waiting writes at once, durably.

const rows = openRows(process.argv[2]!);
// Checkpoint as rarely as the service does.
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
