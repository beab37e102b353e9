import { create, toBinary } from "@bufbuild/protobuf";
import type { Protocol } from "./cases.ts";
import { echoMethod, echoPath, restPath } from "./echo.ts";

/** The request of a case, and a check of the reply. */
export interface Exchange {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  isReply(body: Uint8Array, trailers: Readonly<Record<string, unknown>>): boolean;
}

const text = "thirty characters, more or less";

const json = Buffer.from(JSON.stringify({ text }));
const proto = toBinary(echoMethod.input, create(echoMethod.input, { text }));

const frame = Buffer.alloc(5 + proto.length);
frame.writeUInt32BE(proto.length, 1);
frame.set(proto, 5);

/** gRPC-Web sends the trailers in a frame after the message. */
function isWebReply(body: Uint8Array): boolean {
  const [head, rest] = [body.subarray(0, frame.length), Buffer.from(body.subarray(frame.length))];
  return frame.equals(head) && rest[0] === 0x80 && /^grpc-status: ?0\r?$/m.test(rest.toString("latin1", 5));
}

export const exchanges: Readonly<Record<Protocol, Exchange>> = {
  "connect-json": {
    path: echoPath,
    headers: { "content-type": "application/json", "connect-protocol-version": "1" },
    body: json,
    isReply: (body) => json.equals(body),
  },
  "connect-proto": {
    path: echoPath,
    headers: { "content-type": "application/proto", "connect-protocol-version": "1" },
    body: proto,
    isReply: (body) => Buffer.from(proto).equals(body),
  },
  grpc: {
    path: echoPath,
    headers: { "content-type": "application/grpc", te: "trailers" },
    body: frame,
    isReply: (body, trailers) => frame.equals(body) && trailers["grpc-status"] === "0",
  },
  "grpc-web": {
    path: echoPath,
    headers: { "content-type": "application/grpc-web+proto", "x-grpc-web": "1" },
    body: frame,
    isReply: isWebReply,
  },
  rest: {
    path: restPath,
    headers: { "content-type": "application/json" },
    body: json,
    isReply: (body) => json.equals(body),
  },
};
