import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:http2";
import { buffer } from "node:stream/consumers";
import type { HttpVersion } from "./cases.ts";
import type { Exchange } from "./exchange.ts";

/**
 * Sends the request of a case once and checks the whole reply, trailers included.
 *
 * @returns the length of its body, which the replies under load must have.
 * @throws if the reply is wrong.
 */
export async function probe(
  port: number,
  http: HttpVersion,
  exchange: Exchange,
  headers: Readonly<Record<string, string>>,
): Promise<number> {
  const send = http === "http1" ? sendHttp1 : sendHttp2;
  const { status, body, trailers } = await send(port, exchange, headers);
  if (status !== 200 || !exchange.isReply(body, trailers)) {
    throw new Error(`wrong reply: ${status} ${JSON.stringify(trailers)} ${body.toString("latin1")}`);
  }
  return body.length;
}

interface Reply {
  readonly status: number | undefined;
  readonly body: Buffer;
  readonly trailers: Readonly<Record<string, unknown>>;
}

async function sendHttp1(port: number, { path, body }: Exchange, headers: object): Promise<Reply> {
  const request = httpRequest({
    host: "127.0.0.1",
    port,
    path,
    method: "POST",
    headers: { ...headers },
    agent: false,
  });
  request.end(body);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const replyBody = await buffer(response);
  return { status: response.statusCode, body: replyBody, trailers: response.trailers };
}

async function sendHttp2(port: number, { path, body }: Exchange, headers: object): Promise<Reply> {
  const session = connect(`http://127.0.0.1:${port}`);
  const stream = session.request({ ":method": "POST", ":path": path, ...headers });
  let trailers = {};
  stream.on("trailers", (received) => {
    trailers = received;
  });
  stream.end(body);
  const [header] = await once(stream, "response");
  const replyBody = await buffer(stream);
  session.close();
  return { status: header[":status"], body: replyBody, trailers };
}
