import { createServer, type ServerHttp2Stream } from "node:http2";
import { readAll } from "../../lib/read-all.ts";
import { listenOnFreePort } from "./measured.ts";

// Uses the stream API, without the request and response objects that make HTTP/2 look like HTTP/1.

function echoFrame(stream: ServerHttp2Stream): void {
  readAll(stream, (frame) => {
    stream.respond({ ":status": 200, "content-type": "application/grpc+proto" }, { waitForTrailers: true });
    stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }));
    stream.end(frame);
  });
}

function echoJson(stream: ServerHttp2Stream): void {
  readAll(stream, (body) => {
    const { text } = JSON.parse(body.toString());
    const reply = JSON.stringify({ text });
    stream.respond({
      ":status": 200,
      "content-type": "application/json",
      "content-length": Buffer.byteLength(reply),
    });
    stream.end(reply);
  });
}

const server = createServer();
server.on("stream", (stream, headers) =>
  headers["content-type"] === "application/grpc" ? echoFrame(stream) : echoJson(stream),
);
listenOnFreePort(server);
