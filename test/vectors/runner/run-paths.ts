import { type DescService, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import type { FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { parsePathTemplate } from "../../../src/wire/rest/path-template.ts";
import { createWire } from "../../../src/wire/wire.ts";
import { asciiOf, send } from "./client.ts";
import { differs, unlessThrows } from "./compare.ts";
import {
  type DecodeVector,
  isObject,
  type RouteRequest,
  type RouteVector,
  type TemplateVector,
} from "./format.ts";
import { allowProblem } from "./judge.ts";
import { makeService, messageOf, type RuledMethod } from "./services.ts";
import { bindStub, type Stub, serveStub } from "./stub.ts";

// Each template is served by a method whose message has a string field for each variable.

export async function runTemplate(
  { template, expect }: TemplateVector,
  messages: FileDescriptorSet,
): Promise<string[]> {
  const rule = { get: template };
  if (!expect.ok) {
    const service = makeService(messages, [methodOf("One", rule, "Input")], [messageOf("Input", [])]);
    return [
      ...unlessThrows(() => parsePathTemplate(template), / at column [0-9]+$/),
      ...unlessThrows(() => createWire({ services: [bindStub(service)] }), / at column [0-9]+$/),
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

/** Marks literals, to tell them from wildcards. */
function textOf(segment: string): string {
  return segment === "*" || segment === "**" ? segment : `literal ${decodeURIComponent(segment)}`;
}

function methodOf(name: string, rule: JsonObject, input: string): RuledMethod {
  return { name, rule, inputType: `.rules.${input}`, outputType: `.rules.${input}` };
}

/** Splits optional requests off vectors that are not optional. */
export function splitRoute(vector: RouteVector): RouteVector[] {
  if (vector.level === "optional" || !Array.isArray(vector.requests)) return [vector];
  const isOptional = ({ level }: RouteRequest) => level === "optional";
  const optional = vector.requests.flatMap((request, i) =>
    isOptional(request)
      ? [{ ...vector, id: `${vector.id}/${i + 1}`, level: request.level!, requests: [request] }]
      : [],
  );
  return [{ ...vector, requests: vector.requests.filter((request) => !isOptional(request)) }, ...optional];
}

/** Serves each route with a method of its own. */
export async function runRoute(vector: RouteVector, messages: FileDescriptorSet): Promise<string[]> {
  if (vector.expect_registration_error) {
    const register = () => createWire({ services: [bindStub(serviceOf(vector, messages))] });
    return unlessThrows(register, / have the same path$| at column [0-9]+$/);
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
  // Queries don't affect routing, and the messages have no fields for them.
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
    // Every existing path answers OPTIONS.
    const isAnswered = method === "OPTIONS" && received.status === 204;
    const isRefused = expect.status ? received.status === expect.status : received.status >= 400;
    if (!isAnswered && !isRefused)
      problems.push(`the status is ${received.status}, not ${expect.status ?? "an error"}`);
  }
  if (expect.allow) problems.push(...allowProblem(received, expect.allow));
  return problems;
}

/** Values may have either `%2f` or `%2F`. */
function upper(value: string): string {
  return value.replaceAll("%2f", "%2F");
}

function valueAt(json: JsonValue, path: string): JsonValue | undefined {
  let value: unknown = json;
  for (const name of path.split(".")) value = isObject(value) ? value[protoCamelCase(name)] : undefined;
  return value as JsonValue | undefined;
}

export async function runDecode(
  { kind, raw, expect }: DecodeVector,
  messages: FileDescriptorSet,
): Promise<string[]> {
  const rule = { get: kind === "single" ? "/{value}" : "/{value=**}" };
  const inputs = [messageOf("Input", ["value"])];
  const stub = await serveStub([makeService(messages, [methodOf("One", rule, "Input")], inputs)]);
  try {
    const received = await send(stub.port, { method: "GET", path: `/${asciiOf(raw)}` });
    const [call] = stub.calls;
    if (expect.error) {
      if (call) return ["it is accepted"];
      return received.status === 400 ? [] : [`the status is ${received.status}, not 400`];
    }
    if (!call) return [`it is rejected with ${received.status}`];
    const value = valueAt(toJson(call.method.input, call.message), "value") ?? "";
    const expected = [...(expect.value === undefined ? [] : [expect.value]), ...(expect.any_of ?? [])];
    return expected.includes(String(value)) ? [] : differs("the value", value, expected[0]);
  } finally {
    await stub.close();
  }
}
