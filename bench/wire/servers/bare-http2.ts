import { createServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { readAll } from "../../lib/read-all.ts";
import { echoJson } from "./bare.ts";
import { listenOnFreePort } from "./measured.ts";

/** The floor of gRPC: sends the frame back with trailers and decodes nothing. */
function echoFrame(request: Http2ServerRequest, response: Http2ServerResponse): void {
  readAll(request, (frame) => {
    response.writeHead(200, { "content-type": "application/grpc+proto" });
    response.addTrailers({ "grpc-status": "0" });
    response.end(frame);
  });
}

listenOnFreePort(
  createServer((request, response) =>
    request.headers["content-type"] === "application/grpc"
      ? echoFrame(request, response)
      : echoJson(request, response),
  ),
);
