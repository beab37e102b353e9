import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { wrongCode } from "../support/app.ts";
import { type DocumentedService, startDocumented } from "../support/documented-service.ts";
import { type OpenApi, type Operation, resolve, type Schema } from "../support/openapi.ts";

type Route = DocumentedService["operations"][number];

interface Json {
  [name: string]: unknown;
}

/** Values that replace the examples of the document, by the name of a parameter or of a body member. */
type Values = Readonly<Record<string, string>>;

/** Creates a user with a pending address. */
async function makeWorld({ test }: DocumentedService): Promise<Values> {
  const client = await test.admin();
  const organization = { org: { case: "orgId", value: "demo" } } as const;
  const { userId } = await client.createUser({ organization });
  const email = { address: "waits@mouse.com", verification: { case: "returnCode", value: {} } } as const;
  const { otpEmailId, verificationCode = "" } = await client.addOTPEmail({ userId, email });
  return { userId, otpEmailId, code: verificationCode };
}

/** Adapts the world for operations that need another one. */
const worlds: Readonly<
  Record<string, (service: DocumentedService, world: Values) => Values | Promise<Values>>
> = {
  UserService_CreateUser: (_service, world) => ({ ...world, userId: `new-${world.userId}` }),
  // There is no next page yet.
  UserService_ListUsers: (_service, world) => ({ ...world, pageToken: "" }),
  UserService_UnlockOTPEmail: async ({ test }, world) => {
    const { userId = "", otpEmailId = "", code = "" } = world;
    const attempt = (await test.admin()).verifyOTPEmail({ userId, otpEmailId, code: wrongCode(code) });
    await attempt.catch(() => {});
    return world;
  },
  ChallengeService_CreateOTPEmailChallenge: verifiedWorld,
  ChallengeService_VerifyOTPEmailChallenge: challengedWorld,
  ChallengeService_GetOTPEmailChallenge: challengedWorld,
  ChallengeService_CancelOTPEmailChallenge: challengedWorld,
  UserService_ReactivateUser: async ({ test }, world) => {
    await (await test.admin()).deactivateUser({ userId: world.userId ?? "" });
    return world;
  },
  UserService_UnlockUser: async ({ test }, world) => {
    await (await test.admin()).lockUser({ userId: world.userId ?? "" });
    return world;
  },
};

/** Adds a verified address. It is unique: the limit of mails to an address counts all users. */
async function verifiedWorld({ test }: DocumentedService, { userId = "" }: Values): Promise<Values> {
  const email = {
    address: `u${userId}@mouse.com`,
    verification: { case: "isVerified", value: true },
  } as const;
  const { otpEmailId } = await (await test.admin()).addOTPEmail({ userId, email });
  return { userId, otpEmailId };
}

async function challengedWorld(service: DocumentedService, before: Values): Promise<Values> {
  const { userId = "", otpEmailId = "" } = await verifiedWorld(service, before);
  const delivery = { case: "returnCode", value: {} } as const;
  const request = { userId, otpEmailId, audience: "https://app.example.com", delivery };
  const { challengeId, code = "" } = await service.test
    .challengeClient(service.token)
    .createOTPEmailChallenge(request);
  return { userId, otpEmailId, challengeId, code };
}

async function worldOf(service: DocumentedService, { operationId }: Operation): Promise<Values> {
  const world = await makeWorld(service);
  return (await worlds[operationId]?.(service, world)) ?? world;
}

interface Call {
  readonly url: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** The call that the document describes by its examples, with these values instead. */
function callOf(service: DocumentedService, { path, method, operation }: Route, values: Values): Call {
  let url = service.document.servers[0]?.url + path;
  const query = new URLSearchParams();
  for (const { name, in: place, required, example } of operation.parameters) {
    const value = values[name] ?? example;
    if (place === "query" && !required) continue;
    if (value === undefined) throw new Error(`${operation.operationId}: ${name} has no example`);
    if (place === "query") query.append(name, String(value));
    else url = url.replace(`{${name}}`, encodeURIComponent(String(value)));
  }
  const headers = { authorization: `Bearer ${service.token}` };
  const json = operation.requestBody?.content["application/json"];
  const target = query.size > 0 ? `${url}?${query}` : url;
  if (!json) return { url: target, method, headers };
  const body: Json = { ...(json.example as Json) };
  for (const name of Object.keys(body)) body[name] = values[name] ?? body[name];
  expect(service.check(json.schema!, body), `the example of ${operation.operationId}`).toEqual([]);
  const typed = { ...headers, "content-type": "application/json" };
  return { url: target, method, headers: typed, body: JSON.stringify(body) };
}

/** Sends the call and checks the reply against the document: status, content type, headers and body. */
async function send(
  service: DocumentedService,
  operation: Operation,
  { url, ...init }: Call,
): Promise<number> {
  const stop = new AbortController();
  const reply = await fetch(url, { ...init, signal: stop.signal });
  const type = reply.headers.get("content-type") ?? "";
  const isStream = type === "application/x-ndjson";
  const text = isStream ? await firstLine(reply) : await reply.text();
  if (isStream) stop.abort();
  const what = `${operation.operationId}: ${reply.status} ${text}`;

  const documented = operation.responses[reply.status] ?? operation.responses.default!;
  const { content, headers = {} } = resolve(service.document, documented);
  expect(Object.keys(content), what).toContain(type);
  const { schema } = content[type] ?? {};
  if (schema) expect(service.check(schema, JSON.parse(text)), what).toEqual([]);
  for (const [name, header] of Object.entries(headers)) {
    const value = reply.headers.get(name);
    if (header.required) expect(value, `${what} ${name}`).not.toBeNull();
    const typed = header.schema.type === "integer" ? Number(value) : value;
    if (value !== null) expect(service.check(header.schema, typed), `${what} ${name}`).toEqual([]);
  }
  return reply.status;
}

async function firstLine(reply: globalThis.Response): Promise<string> {
  let text = "";
  for await (const chunk of reply.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (text.includes("\n")) break;
  }
  return text.split("\n", 1)[0] ?? "";
}

function curlOf(operation: Operation): string {
  return operation["x-codeSamples"].find(({ lang }) => lang === "curl")?.source ?? "";
}

/** Runs the curl of the document with the values of a fresh world, and expects 200. */
async function callByCurl(service: DocumentedService, { operation }: Route): Promise<void> {
  const { operationId, parameters, requestBody } = operation;
  const world = await worldOf(service, operation);
  const body = (requestBody?.content["application/json"]?.example ?? {}) as Json;
  const examples = [...parameters.map(({ name, example }) => [name, example]), ...Object.entries(body)];
  let command = curlOf(operation);
  for (const [name, example] of examples as [string, string][]) {
    const value = world[name];
    if (value !== undefined) command = command.replaceAll(example, value);
  }
  // Exit code 28 is the time-out that ends an endless stream: no failure.
  const end = command.startsWith("curl -N") ? " || [ $? = 28 ]" : "";
  const script = command.replace(/^curl/, `curl -sS -m ${end ? 2 : 20} -o /dev/null -w '%{http_code}'`) + end;
  const env = { PATH: process.env.PATH, TOKEN: service.token };
  const { stdout } = await promisify(execFile)("sh", ["-c", script], { env });
  expect(stdout, `${operationId}: ${command}`).toBe("200");
}

describe("every operation of /openapi.json", () => {
  it("succeeds with its examples, and replies as documented", async () => {
    const service = await startDocumented();
    expect(service.operations.length).toBeGreaterThan(3);
    for (const route of service.operations) {
      const world = await worldOf(service, route.operation);
      const status = await send(service, route.operation, callOf(service, route, world));
      expect(status, route.operation.operationId).toBe(200);
    }
  });

  it("can be called by its curl", async () => {
    const service = await startDocumented();
    const isStream = ({ operation }: Route) => curlOf(operation).startsWith("curl -N");
    // Streams end by a time-out, so they run beside the others.
    const streams = service.operations.filter(isStream).map((route) => callByCurl(service, route));
    for (const route of service.operations) if (!isStream(route)) await callByCurl(service, route);
    await Promise.all(streams);
  });

  it("refuses missing tokens, bad tokens and missing permissions as documented", async () => {
    const service = await startDocumented();
    const stranger = await service.test.token("stranger");
    for (const route of service.operations) {
      const call = callOf(service, route, await worldOf(service, route.operation));
      const { authorization: _, ...headers } = call.headers;
      const by = (authorization: string) => ({ ...call, headers: { ...headers, authorization } });
      expect(await send(service, route.operation, { ...call, headers })).toBe(401);
      expect(await send(service, route.operation, by("Bearer not.a.token"))).toBe(401);
      expect(await send(service, route.operation, by(`Bearer ${stranger}`))).toBe(403);
    }
  });

  it("refuses what the document does not allow, as documented", async () => {
    const service = await startDocumented();
    for (const route of service.operations) {
      const { operation } = route;
      const world = await worldOf(service, operation);
      const call = callOf(service, route, world);
      const refused = async (what: string, broken: Partial<Call>) =>
        expect(
          await send(service, operation, { ...call, ...broken }),
          `${operation.operationId}: ${what}`,
        ).toBe(400);
      await refused("an unknown parameter", { url: `${call.url}?nope=1` });
      for (const { name, in: place, schema } of operation.parameters) {
        if (place !== "path") continue;
        expect(schema, `${operation.operationId} ${name}`).toMatchObject({ type: "string", maxLength: 200 });
        const long = { ...world, [name]: "x".repeat(Number(schema.maxLength) + 1) };
        await refused(`too long ${name}`, { url: callOf(service, route, long).url });
      }
      if (call.body === undefined) continue;
      const { schema } = operation.requestBody!.content["application/json"]!;
      await refused("no JSON", { body: "{" });
      await refused("no object", { body: "[]" });
      for (const [what, body] of brokenBodies(service.document, schema!, JSON.parse(call.body))) {
        expect(service.check(schema!, body), `${operation.operationId}: ${what}`).not.toEqual([]);
        await refused(what, { body: JSON.stringify(body) });
      }
    }
  });

  it("answers 404 to unknown ids, as documented", async () => {
    const service = await startDocumented();
    for (const route of service.operations) {
      for (const { name, in: place } of route.operation.parameters) {
        if (place !== "path") continue;
        const world = { ...(await worldOf(service, route.operation)), [name]: "163840776835432705" };
        expect(await send(service, route.operation, callOf(service, route, world)), name).toBe(404);
      }
    }
  });

  it("answers wrong methods, types and sizes as documented", async () => {
    const service = await startDocumented();
    for (const route of service.operations) {
      const { operation } = route;
      const call = callOf(service, route, await worldOf(service, operation));
      const { body: _, ...bodiless } = call;
      expect(await send(service, operation, { ...bodiless, method: "PATCH" })).toBe(405);
      if (call.body === undefined) continue;
      const text = { ...call, headers: { ...call.headers, "content-type": "text/plain" } };
      expect(await send(service, operation, text)).toBe(415);
      expect(await send(service, operation, { ...call, body: JSON.stringify("x".repeat(70_000)) })).toBe(413);
    }
  });
});

/** Invalid bodies, each made from the valid one by one change. */
function* brokenBodies(document: OpenApi, schema: Schema, body: Json): Generator<[string, Json]> {
  const known = dereference(document, schema);
  for (const name of (known.required ?? []) as string[]) {
    const { [name]: _, ...rest } = body;
    yield [`no ${name}`, rest];
  }
  for (const [name, property] of Object.entries((known.properties ?? {}) as Record<string, Schema>)) {
    const { type, maxLength, enum: names } = dereference(document, property);
    const value = body[name];
    // ProtoJSON also accepts enum numbers; the document only has the names.
    if (type === "string" && !names) yield [`a number for ${name}`, { ...body, [name]: 1 }];
    if (maxLength !== undefined)
      yield [`too long ${name}`, { ...body, [name]: "x".repeat(Number(maxLength) + 1) }];
    if (typeof value !== "object" || value === null || Array.isArray(value)) continue;
    for (const [what, inner] of brokenBodies(document, property, value as Json)) {
      yield [`${what} in ${name}`, { ...body, [name]: inner }];
    }
  }
  const pairs = ((known.not as { anyOf?: { required: string[] }[] } | undefined)?.anyOf ?? []).map(
    (pair) => pair.required,
  );
  for (const pair of pairs) {
    const both = pair.map((name) => [name, exampleOf(known, name)]);
    yield [`both ${pair.join(" and ")}`, { ...body, ...Object.fromEntries(both) }];
  }
}

function exampleOf(schema: Schema, name: string): unknown {
  const property = (schema.properties as Record<string, { examples?: unknown[] }>)[name];
  return property?.examples?.[0];
}

function dereference(document: OpenApi, schema: Schema): Schema {
  if (typeof schema.$ref !== "string") return schema;
  return document.components.schemas[schema.$ref.replace("#/components/schemas/", "")] ?? {};
}

describe("errors that only some operations have", () => {
  const operationOf = ({ operations }: DocumentedService, id: string) => {
    const found = operations.find(({ operation }) => operation.operationId === id);
    if (!found) throw new Error(`there is no operation ${id}`);
    return found;
  };

  it("409 for what exists already", async () => {
    const service = await startDocumented();
    const create = operationOf(service, "UserService_CreateUser");
    const world = await makeWorld(service);
    expect(await send(service, create.operation, callOf(service, create, world))).toBe(409);

    const add = operationOf(service, "UserService_AddOTPEmail");
    const call = callOf(service, add, world);
    const email = { address: "mini@mouse.com", isVerified: true };
    expect(await send(service, add.operation, { ...call, body: JSON.stringify({ email }) })).toBe(200);
    expect(await send(service, add.operation, call)).toBe(409);
  });

  it("400 for wrong codes, and 429 after too many", async () => {
    const service = await startDocumented();
    const verify = operationOf(service, "UserService_VerifyOTPEmail");
    const world = await makeWorld(service);
    const statuses: number[] = [];
    for (let i = 1; i <= 6; i++) {
      const call = callOf(service, verify, { ...world, code: wrongCode(world.code!, i) });
      statuses.push(await send(service, verify.operation, call));
    }
    expect(statuses).toEqual([400, 400, 400, 400, 400, 429]);
  });
});
