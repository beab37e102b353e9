import { Code } from "@connectrpc/connect";
import { expect, it } from "vitest";
import { listen } from "../../../src/http/server.ts";
import { createWire } from "../../../src/wire/wire.ts";
import { bindEcho, type EchoImpl, type Text } from "../../support/wire/echo.ts";
import { exchange, frameOf } from "../../support/wire/exchange.ts";

const echo: EchoImpl = {
  read: (input) => input,
  async *split(input: Text) {
    yield input;
  },
  async join(input: AsyncIterable<Text>) {
    for await (const text of input) return text;
    return {};
  },
  chat: (input: AsyncIterable<Text>) => input,
};

// An HTTP/2 stream with unread data keeps its connection open, and so the server from closing.
it.each(["Read", "Split", "Join", "Chat"])(
  "a connection can be closed after a partly read request to %s was refused",
  async (method) => {
    const server = await listen({
      host: "127.0.0.1",
      port: 0,
      handler: createWire({ services: [bindEcho(echo)] }),
    });
    const headers = { "content-type": "application/grpc", te: "trailers" };
    for (const length of [66_000, 200_000, 3_000_000]) {
      const body = frameOf(Buffer.alloc(length));
      const path = `/test.echo.v1.EchoService/${method}`;
      const reply = await exchange(server.port, "2", { path, headers, body });
      expect(reply.trailers["grpc-status"]).toBe(String(Code.ResourceExhausted));
    }
    // The grace period is longer than the timeout of the test.
    await server.close(120_000);
  },
);
