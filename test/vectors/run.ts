import { isDeepStrictEqual } from "node:util";
import {
  createFileRegistry,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromJson,
  getOption,
  type JsonValue,
  toJson,
} from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import type { FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { parsePathTemplate } from "../../src/wire/rest/path-template.ts";
import { createWire } from "../../src/wire/wire.ts";
import { type Received, send, sendText } from "./client.ts";
import { encodeRequest } from "./encode.ts";
import {
  type DecodeVector,
  type EncodeVector,
  findUnknown,
  type HttpVector,
  isObject,
  type Level,
  type QueryVector,
  type RouteRequest,
  type RouteVector,
  type Suites,
  type TemplateVector,
} from "./format.ts";
import { allowProblem, headerProblem, problemsOfReply } from "./judge.ts";
import { bodyOf, headersOf } from "./request.ts";
import { makeService, messageOf } from "./services.ts";
import { bindStub, codeNamed, type Stub, serveStub } from "./stub.ts";

export interface Case {
  readonly id: string;
  readonly level: Level;
  readonly name: string;
  /** Returns what is wrong: nothing if the case passes. */
  run(): Promise<readonly string[]>;
}

export interface Cases extends AsyncDisposable {
  readonly cases: readonly Case[];
}

const levels: readonly unknown[] = ["must", "should", "optional"];

/** Makes cases of vectors. They run one after the other: what the methods reply is one state for all. */
export function casesOf(suites: Partial<Suites>, messages: FileDescriptorSet): Cases {
  const registry = createFileRegistry(messages);
  const ownFile = messages.file.find(({ name }) => name === "vectors.proto");
  const services = (ownFile?.service ?? []).map(
    ({ name }) => registry.getService(`${ownFile?.package}.${name}`)!,
  );
  const scalars = registry.getMessage(`${ownFile?.package}.Scalars`);
  let stub: Promise<Stub> | undefined;
  const world: World = {
    messages,
    services,
    get scalars() {
      if (!scalars) throw new Error("vectors.proto has no message Scalars");
      return scalars;
    },
    stub() {
      stub ??= serveStub(services);
      return stub;
    },
  };
  const cases: Case[] = [];
  const add = <K extends keyof Suites>(
    suite: K,
    nameOf: (vector: Suites[K][number]) => string,
    run: (vector: Suites[K][number], world: World) => Promise<string[]>,
  ) => {
    for (const vector of suites[suite] ?? []) {
      const unknown = findUnknown(suite, vector);
      if (!levels.includes(vector.level)) unknown.push(`the level ${vector.level} is not known`);
      const { id } = vector;
      // What is not understood is not passed over, whatever its level.
      if (unknown.length > 0) cases.push({ id, level: "must", name: suite, run: async () => unknown });
      else cases.push({ id, level: vector.level, name: nameOf(vector), run: () => run(vector, world) });
    }
  };
  add("template", ({ template }) => template, runTemplate);
  suites = { ...suites, route: suites.route?.flatMap(splitRoute) ?? [] };
  add("route", ({ routes }) => routes.map(({ id }) => id).join(" "), runRoute);
  add("decode", ({ kind, raw }) => `${kind} ${raw}`, runDecode);
  add("query", ({ query }) => query, runQuery);
  add("http", ({ name }) => name, runHttp);
  add("encode", ({ rule }) => JSON.stringify(rule), runEncode);
  return {
    cases,
    async [Symbol.asyncDispose]() {
      await (await stub)?.close();
    },
  };
}

interface World {
  readonly messages: FileDescriptorSet;
  readonly services: readonly DescService[];
  readonly scalars: DescMessage;
  /** The services of vectors.proto, served. */
  stub(): Promise<Stub>;
}

async function runTemplate({ template, expect }: TemplateVector, { messages }: World): Promise<string[]> {
  const rule = { get: template };
  if (!expect.ok) {
    const service = makeService(messages, [methodOf("One", rule, "Input")], [messageOf("Input", [])]);
    return [
      ...whatThrows(() => parsePathTemplate(template), / at column [0-9]+$/),
      ...whatThrows(() => createWire({ services: [bindStub(service)] }), / at column [0-9]+$/),
    ];
  }
  const { segments, verb, variables } = parsePathTemplate(template);
  const input = messageOf(
    "Input",
    variables.map(({ path }) => path),
  );
  createWire({ services: [bindStub(makeService(messages, [methodOf("One", rule, "Input")], [input]))] });
  return [
    ...differs("the segments", segments.map(textOf), (expect.segments ?? []).map(textOf)),
    ...differs("the verb", verb, decodeURIComponent(expect.verb ?? "")),
    ...differs("the variables", variables, expect.vars ?? []),
  ];
}

/** A literal, so marked that it is no wildcard. */
function textOf(segment: string): string {
  return segment === "*" || segment === "**" ? segment : `literal ${decodeURIComponent(segment)}`;
}

function methodOf(name: string, rule: { readonly [key: string]: JsonValue }, input: string) {
  return { name, rule, inputType: `.rules.${input}`, outputType: `.rules.${input}` };
}

/** Requests that are optional in a vector that is not are cases of their own. */
function splitRoute(vector: RouteVector): RouteVector[] {
  if (vector.level === "optional" || !Array.isArray(vector.requests)) return [vector];
  const isOptional = ({ level }: RouteRequest) => level === "optional";
  const optional = vector.requests.flatMap((request, i) =>
    isOptional(request)
      ? [{ ...vector, id: `${vector.id}/${i + 1}`, level: request.level!, requests: [request] }]
      : [],
  );
  return [{ ...vector, requests: vector.requests.filter((request) => !isOptional(request)) }, ...optional];
}

/** Each route is a method of its own, with a message that has a text for each variable. */
async function runRoute(vector: RouteVector, { messages }: World): Promise<string[]> {
  if (vector.expect_registration_error) {
    const register = () => createWire({ services: [bindStub(serviceOf(vector, messages))] });
    return whatThrows(register, / have the same path$| at column [0-9]+$/);
  }
  const service = serviceOf(vector, messages);
  const stub = await serveStub([service]);
  try {
    const problems: string[] = [];
    for (const request of vector.requests) {
      const found = await problemsOfRoute(vector, request, service, stub);
      problems.push(...found.map((problem) => `${request.method} ${request.path}: ${problem}`));
    }
    return problems;
  } finally {
    await stub.close();
  }
}

function serviceOf({ routes }: RouteVector, messages: FileDescriptorSet): DescService {
  const methods = routes.map(({ method, template }, i) =>
    methodOf(`Route${i}`, { custom: { kind: method, path: template } }, `Input${i}`),
  );
  const inputs = routes.map(({ template }, i) =>
    messageOf(
      `Input${i}`,
      parsePathTemplate(template).variables.map(({ path }) => path),
    ),
  );
  return makeService(messages, methods, inputs);
}

async function problemsOfRoute(
  vector: RouteVector,
  { method, path, expect }: RouteRequest,
  service: DescService,
  stub: Stub,
): Promise<string[]> {
  stub.answer({});
  // A query is nothing to routes, and these messages have no fields for it.
  const received = await send(stub.port, { method, path: asciiOf(path.split("?", 1)[0] ?? "") });
  const [call] = stub.calls;
  const called = call && vector.routes[service.methods.indexOf(call.method)];
  const problems = differs("the route", called?.id ?? null, expect.match);
  if (call && expect.match !== null) {
    const vars = parsePathTemplate(called?.template ?? "").variables.map(({ path: name }) => [
      name,
      upper(String(valueAt(toJson(call.method.input, call.message), name) ?? "")),
    ]);
    const expected = Object.entries(expect.vars ?? {}).map(([name, value]) => [name, upper(value)]);
    problems.push(...differs("the variables", Object.fromEntries(vars), Object.fromEntries(expected)));
  }
  if (expect.match === null) {
    // OPTIONS is answered for every path that is there.
    const isTold = method === "OPTIONS" && received.status === 204;
    const isRefused = expect.status ? received.status === expect.status : received.status >= 400;
    if (!isTold && !isRefused)
      problems.push(`the status is ${received.status}, not ${expect.status ?? "one of a refusal"}`);
  }
  if (expect.allow) problems.push(...allowProblem(received, expect.allow));
  return problems;
}

/** `%2f` and `%2F` are the same in what is captured. */
function upper(value: string): string {
  return value.replaceAll("%2f", "%2F");
}

function valueAt(json: JsonValue, path: string): JsonValue | undefined {
  let value: unknown = json;
  for (const name of path.split(".")) value = isObject(value) ? value[protoCamelCase(name)] : undefined;
  return value as JsonValue | undefined;
}

async function runDecode({ kind, raw, expect }: DecodeVector, { messages }: World): Promise<string[]> {
  const rule = { get: kind === "single" ? "/{value}" : "/{value=**}" };
  const inputs = [messageOf("Input", ["value"])];
  const stub = await serveStub([makeService(messages, [methodOf("One", rule, "Input")], inputs)]);
  try {
    const received = await send(stub.port, { method: "GET", path: `/${asciiOf(raw)}` });
    const [call] = stub.calls;
    if (expect.error) {
      if (call) return ["it is taken"];
      return received.status === 400 ? [] : [`the status is ${received.status}, not 400`];
    }
    if (!call) return [`it is refused with ${received.status}`];
    const value = valueAt(toJson(call.method.input, call.message), "value") ?? "";
    const expected = [...(expect.value === undefined ? [] : [expect.value]), ...(expect.any_of ?? [])];
    return expected.includes(String(value)) ? [] : differs("the value", value, expected[0]);
  } finally {
    await stub.close();
  }
}

async function runQuery({ query, expect }: QueryVector, world: World): Promise<string[]> {
  const request = { method: "GET", path: `/echo?${asciiOf(query)}` };
  if (expect.error === undefined) {
    const rpc = { method: "Echo", message: expect.message ?? {} };
    return await runExchange(request, { rpc, reply: { echo: true }, http: 200 }, world);
  }
  const body_json_partial = { code: codeNamed(expect.error) };
  return await runExchange(request, { rpc: null, http: 400, body_json_partial }, world);
}

/** As HTTP clients do: a request line is ASCII. */
function asciiOf(target: string): string {
  return target.replace(/[^!-~]/gu, encodeURIComponent);
}

async function runHttp({ request, expect }: HttpVector, world: World): Promise<string[]> {
  return await runExchange(request, expect, world);
}

async function runExchange(
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
  return received ? [] : ["the server does not answer any more"];
}

/** The proto JSON of a message after a round trip, so that spellings do not differ. */
function canonical(desc: DescMessage, json: JsonValue): JsonValue {
  return toJson(desc, fromJson(desc, json));
}

/** The request that a client makes of a message, and what a server makes of it: that message again. */
async function runEncode({ rule, message, expect }: EncodeVector, world: World): Promise<string[]> {
  const type = `.${world.scalars.typeName}`;
  const service = makeService(world.messages, [{ name: "One", rule, inputType: type, outputType: type }]);
  const method = service.methods[0] as DescMethod;
  const encode = () => encodeRequest(method, getOption(method, http), fromJson(method.input, message));
  if (expect.error !== undefined) return whatThrows(encode, /./);
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
    return [...problems, ...differs("what is made of it", got, canonical(method.input, message))];
  } finally {
    await stub.close();
  }
}

/** The order of different names means nothing. */
function parametersOf(query: string): (readonly [string, string])[] {
  const parameters = new URLSearchParams(query);
  parameters.sort();
  return [...parameters];
}

function differs(what: string, got: unknown, expected: unknown): string[] {
  if (isDeepStrictEqual(got, expected)) return [];
  return [`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`];
}

function whatThrows(work: () => unknown, message: RegExp): string[] {
  try {
    work();
  } catch (error) {
    const told = (error as Error).message;
    return message.test(told) ? [] : [`it is refused for another reason: ${told}`];
  }
  return ["it is accepted"];
}
