import {
  type DescMessage,
  type DescMethod,
  fromJson,
  getOption,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import { asciiOf, type Received, send, sendText } from "./client.ts";
import { differs, unlessThrows } from "./compare.ts";
import { encodeRequest } from "./encode.ts";
import type { EncodeVector, HttpVector, QueryVector } from "./format.ts";
import { headerProblem, problemsOfReply } from "./judge.ts";
import { bodyOf, headersOf } from "./request.ts";
import type { World } from "./run.ts";
import { makeService } from "./services.ts";
import { codeNamed, type Stub, serveStub } from "./stub.ts";

export async function runQuery({ query, expect }: QueryVector, world: World): Promise<string[]> {
  const request = { method: "GET", path: `/echo?${asciiOf(query)}` };
  if (expect.error === undefined) {
    const rpc = { method: "Echo", message: expect.message ?? {} };
    return await runExchange(request, { rpc, reply: { echo: true }, http: 200 }, world);
  }
  const body_json_partial = { code: codeNamed(expect.error) };
  return await runExchange(request, { rpc: null, http: 400, body_json_partial }, world);
}

/** Sends a request, and compares the call and the reply with what is expected. */
export async function runExchange(
  request: HttpVector["request"],
  expect: HttpVector["expect"],
  world: World,
): Promise<string[]> {
  const stub = await world.stub();
  stub.answer(expect.reply ?? {});
  const received =
    typeof request.raw_socket === "string"
      ? await sendText(stub.port, request.raw_socket)
      : await send(stub.port, {
          method: request.method,
          path: request.path,
          headers: headersOf(request),
          body: await bodyOf(request),
        });
  const problems = [...problemsOfCalls(expect, stub, world), ...problemsOfReply(request, expect, received)];
  for (const [name, values] of Object.entries(expect.headers ?? {}))
    problems.push(...headerProblem(received, name, values));
  if (expect.then_alive) problems.push(...(await problemsOfLife(stub.port)));
  return problems;
}

function problemsOfCalls({ rpc }: HttpVector["expect"], { calls }: Stub, { services }: World): string[] {
  if (rpc === undefined) return [];
  const called = calls.map(({ method }) => method.name);
  const problems = differs("the methods called", called, rpc ? [rpc.method] : []);
  const [call] = calls;
  if (!rpc || !call || problems.length > 0) return problems;
  const method = services.flatMap(({ methods }) => methods).find(({ name }) => name === rpc.method);
  if (!method) return [`there is no method ${rpc.method}`];
  return differs("the message", toJson(method.input, call.message), canonical(method.input, rpc.message));
}

async function problemsOfLife(port: number): Promise<string[]> {
  const received: Received | undefined = await send(port, { method: "GET", path: "/" }).catch(
    () => undefined,
  );
  return received ? [] : ["the server doesn't answer any more"];
}

/** Encodes a message like a client, and checks that the server decodes the same message. */
export async function runEncode({ rule, message, expect }: EncodeVector, world: World): Promise<string[]> {
  const type = `.${world.scalars.typeName}`;
  const service = makeService(world.messages, [{ name: "One", rule, inputType: type, outputType: type }]);
  const method = service.methods[0] as DescMethod;
  const encode = () => encodeRequest(method, getOption(method, http), fromJson(method.input, message));
  if (expect.error !== undefined) return unlessThrows(encode, /./);
  const encoded = encode();
  const problems = [
    ...differs("the path", encoded.path, expect.path),
    ...differs("the query", parametersOf(encoded.query), parametersOf(expect.query ?? "")),
    ...differs("the body", encoded.body, expect.body),
  ];
  const stub = await serveStub([service]);
  try {
    const hasBody = encoded.body !== undefined;
    await send(stub.port, {
      method: encoded.method,
      path: `${encoded.path}?${encoded.query}`,
      headers: hasBody ? [["content-type", "application/json"]] : [],
      body: hasBody ? Buffer.from(JSON.stringify(encoded.body)) : undefined,
    });
    const [call] = stub.calls;
    const got = call && toJson(method.input, call.message);
    return [...problems, ...differs("the decoded message", got, canonical(method.input, message))];
  } finally {
    await stub.close();
  }
}

/** The order of parameters with different names is irrelevant. */
function parametersOf(query: string): (readonly [string, string])[] {
  const parameters = new URLSearchParams(query);
  parameters.sort();
  return [...parameters];
}

/** The proto JSON of a message after a round trip, so that spellings do not differ. */
function canonical(desc: DescMessage, json: JsonValue): JsonValue {
  return toJson(desc, fromJson(desc, json));
}
