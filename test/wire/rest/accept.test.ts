import type { JsonObject } from "@bufbuild/protobuf";
import { describe, expect, it } from "vitest";
import { admitsReply } from "../../../src/wire/rest/accept.ts";
import { createRestRouter } from "../../../src/wire/rest/rules.ts";
import { createWire, type RefusedRequest } from "../../../src/wire/wire.ts";
import { exchange, httpVersions, listenBare } from "../../support/wire/exchange.ts";
import { bindJson, type MethodShape, serviceWithRules } from "../../support/wire/rest.ts";

function admits(accept: string | undefined, shape?: MethodShape, rule: JsonObject = { get: "/a" }): boolean {
  const found = createRestRouter(serviceWithRules({ One: rule }, shape).methods).find("GET", "/a");
  if (found.kind !== "match") throw new Error("there is no route");
  return admitsReply(accept, found.route);
}

describe("an Accept header", () => {
  it.each([
    undefined,
    "",
    " , ",
    "*/*",
    "application/json",
    "APPLICATION/Json",
    "application/*",
    "application/json;q=0.001",
    "application/json;q=0.5, text/html",
    "text/html, application/xhtml+xml, */*;q=0.8",
    "text/*, application/json",
    "text/html;q=0, */*",
    "application/json;charset=utf-8",
    'application/json; charset="UTF-8"; q=0.9',
    "application/json;q=0, application/json;charset=utf-8",
    "application/json;version=1, application/*;q=0.1",
    'text/html;a=", ", application/json',
  ])("%j admits JSON", (accept) => {
    expect(admits(accept)).toBe(true);
  });

  it.each([
    "text/html",
    "text/*",
    "application/xml",
    "application/jsonx",
    "application/problem+json",
    "application/x-ndjson",
    "json",
    "application/json;q=0",
    "application/json;q=0.000, text/html",
    "application/json;q=0, */*",
    "application/*;q=0, */*",
    "*/*;q=0",
    "application/json;version=1",
    'text/html;a="application/json"',
    "text/html;a=, application/json;q=0",
  ])("%j does not admit JSON", (accept) => {
    expect(admits(accept)).toBe(false);
  });

  it.each<[string, boolean]>([
    ["application/x-ndjson", true],
    ["application/json", true],
    ["application/x-ndjson;q=0, application/json", true],
    ["text/event-stream", false],
    ["application/x-ndjson;q=0", false],
  ])("%j admits a stream: %s", (accept, expected) => {
    expect(admits(accept, { serverStreaming: true })).toBe(expected);
  });

  it.each(["image/png", "application/json;q=0", "*/*;q=0"])(
    "%j admits bytes, because their type is up to the method",
    (accept) => {
      expect(admits(accept, { output: ".google.api.HttpBody" })).toBe(true);
      expect(admits(accept, { output: "UploadRequest" }, { get: "/a", responseBody: "file" })).toBe(true);
    },
  );
});

describe.each(httpVersions)("over HTTP/%s a request that admits no JSON", (version) => {
  async function serve() {
    const seen: { calls: number; refused: RefusedRequest[] } = { calls: 0, refused: [] };
    const rules = { One: { post: "/a", body: "*", additionalBindings: [{ get: "/a" }] } };
    const service = bindJson(serviceWithRules(rules), () => {
      seen.calls++;
      return {};
    });
    const onRefused = (refused: RefusedRequest) => void seen.refused.push(refused);
    const wire = createWire({ services: [service], rpcOnRestPaths: true, onRefused });
    return { seen, port: await listenBare(wire, version) };
  }
  const accept = "text/html";

  it("is refused with 406 in JSON, without calling the method", async () => {
    const { seen, port } = await serve();
    const request = { path: "/a", headers: { accept, "content-type": "application/json" }, body: "{}" };
    const { status, headers, body } = await exchange(port, version, request);
    expect(status).toBe(406);
    expect(headers["content-type"]).toBe("application/json");
    expect(JSON.parse(body.toString())).toMatchObject({
      code: 3,
      message: "the reply is application/json: accept application/json",
      details: [{ reason: "NOT_ACCEPTABLE" }],
    });
    expect(seen.calls).toBe(0);
    expect(seen.refused).toMatchObject([{ method: { name: "One" }, protocol: "rest" }]);
  });

  it("is refused for HEAD too", async () => {
    const { port } = await serve();
    const { status } = await exchange(port, version, { method: "HEAD", path: "/a", headers: { accept } });
    expect(status).toBe(406);
  });

  it("is served if its body is of an RPC protocol, which has types of its own", async () => {
    const { seen, port } = await serve();
    const headers = { accept, "content-type": "application/proto" };
    expect((await exchange(port, version, { path: "/a", headers })).status).toBe(200);
    expect(seen.calls).toBe(1);
  });

  it("gets other errors in JSON", async () => {
    const { port } = await serve();
    const { status, headers } = await exchange(port, version, { path: "/b", headers: { accept } });
    expect(status).toBe(404);
    expect(headers["content-type"]).toBe("application/json");
  });
});
