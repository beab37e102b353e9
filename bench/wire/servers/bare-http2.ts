import { createServer, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { echoJson, readAll } from "./bare.ts";
import { listenMeasured } from "./measured.ts";

/** The floor of gRPC: the same frame back, and trailers. Nothing is decoded. */
function echoFrame(request: Http2ServerRequest, response: Http2ServerResponse): void {
  readAll(request, (frame) => {
    response.writeHead(200, { "content-type": "application/grpc+proto" });
    response.addTrailers({ "grpc-status": "0" });
    response.end(frame);
  });
}

listenMeasured(
  createServer((request, response) =>
    request.headers["content-type"] === "application/grpc"
      ? echoFrame(request, response)
      : echoJson(request, response),
  ),
);
