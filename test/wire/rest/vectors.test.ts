import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { afterAll, describe, expect, it } from "vitest";
import { root } from "../../support/wire/rest.ts";
import { runFiles } from "../../vectors/runner/cli.ts";
import type { HttpVector, Suites } from "../../vectors/runner/format.ts";
import { readVectors } from "../../vectors/runner/format.ts";
import { messagesFor, ownMessages } from "../../vectors/runner/messages.ts";
import { casesOf } from "../../vectors/runner/run.ts";

const folder = join(root, "test/vectors");

/** Optional cases for which the wire deliberately answers differently. */
const otherwise: Readonly<Record<string, string>> = {
  H026: "a field of the path may not be in the body, not even with the same value",
  H054: "a byte order mark is ignored, as RFC 8259 §8.1 allows",
};

describe.each(readdirSync(folder).filter((name) => name.endsWith(".json")))("%s", (name) => {
  const { cases, ...all } = casesOf(readVectors(join(folder, name)), ownMessages(root));
  afterAll(() => all[Symbol.asyncDispose]());

  for (const { id, level, name, run } of cases) {
    const other = level === "optional" ? otherwise[id] : undefined;
    it(`${id} ${name}${other ? `: ${other}` : ""}`, async () => {
      const problems = await run();
      if (other) expect(problems).not.toEqual([]);
      else expect(problems).toEqual([]);
    });
  }
});

it("vectors.binpb is up to date with vectors.proto", () => {
  expect(messagesFor(join(folder, "vectors.json"), root)).toEqual(ownMessages(root));
});

/** Runs a single vector. Returns its problems. */
async function problemsOf<K extends keyof Suites>(suite: K, vector: JsonObject): Promise<readonly string[]> {
  const suites = { [suite]: [{ id: "X", level: "must", ...vector }] } as unknown as Partial<Suites>;
  const { cases, ...all } = casesOf(suites, ownMessages(root));
  try {
    return (await Promise.all(cases.map(({ run }) => run()))).flat();
  } finally {
    await all[Symbol.asyncDispose]();
  }
}

describe("the runner finds", () => {
  const request = { method: "GET", path: "/v1/shelves" };
  const template = { template: "/a/{b=*/c}:d" };
  const parsed = { ok: true, segments: ["a", "*", "c"], verb: "d", vars: [{ path: "b", start: 1, end: 3 }] };
  const routes = [{ id: "A", method: "GET", template: "/a/{b}" }];

  it.each<[string, keyof Suites, JsonObject]>([
    ["an accepted template", "template", { ...template, expect: { ok: false } }],
    ["another segment", "template", { ...template, expect: { ...parsed, segments: ["a", "*", "e"] } }],
    ["another verb", "template", { ...template, expect: { ...parsed, verb: "e" } }],
    ["another variable", "template", { ...template, expect: { ...parsed, vars: [] } }],
    ["a missing registration error", "route", { routes, requests: [], expect_registration_error: true }],
    [
      "another route",
      "route",
      { routes, requests: [{ method: "GET", path: "/a/x", expect: { match: null } }] },
    ],
    [
      "another variable of a route",
      "route",
      { routes, requests: [{ method: "GET", path: "/a/x", expect: { match: "A", vars: { b: "y" } } }] },
    ],
    [
      "another Allow",
      "route",
      {
        routes,
        requests: [
          { method: "PUT", path: "/a/x", expect: { match: null, status: 405, allow: ["GET", "POST"] } },
        ],
      },
    ],
    ["another value", "decode", { kind: "single", raw: "a", expect: { value: "b" } }],
    ["an accepted value", "decode", { kind: "single", raw: "a", expect: { error: true } }],
    ["a rejected value", "decode", { kind: "single", raw: "%zz", expect: { value: "b" } }],
    ["an accepted query", "query", { query: "int32_value=1", expect: { error: "INVALID_ARGUMENT" } }],
    [
      "another message of a query",
      "query",
      { query: "int32_value=1", expect: { message: { int32Value: 2 } } },
    ],
    ["another code", "query", { query: "int32_value=x", expect: { error: "NOT_FOUND" } }],
    ["an unexpected call", "http", { request, expect: { rpc: null } }],
    ["another call", "http", { request, expect: { rpc: { method: "GetBook", message: {} } } }],
    [
      "another message",
      "http",
      { request, expect: { rpc: { method: "ListShelves", message: { pageSize: 1 } } } },
    ],
    ["another status", "http", { request, expect: { http: 204 } }],
    ["another status of several", "http", { request, expect: { http_any: [204, 404] } }],
    ["another header", "http", { request, expect: { headers: { "content-type": ["text/html"] } } }],
    ["another body", "http", { request, expect: { body_json: { a: 1 } } }],
    ["another body of several", "http", { request, expect: { body_json_any: [{ a: 1 }, []] } }],
    ["a body without a part", "http", { request, expect: { body_json_partial: { code: 1 } } }],
    ["another body text", "http", { request, expect: { body_text: "{}\n" } }],
    ["an unexpected body", "http", { request, expect: { no_body: true } }],
    [
      "another body of an error",
      "http",
      {
        request,
        expect: {
          reply: { error: { code: "NOT_FOUND", message: "m" } },
          body_json: { code: 5, message: "n" },
        },
      },
    ],
    ["another path", "encode", { rule: { get: "/a" }, message: {}, expect: { path: "/b", query: "" } }],
    [
      "another query",
      "encode",
      { rule: { get: "/a" }, message: { int32Value: 1 }, expect: { path: "/a", query: "int32Value=2" } },
    ],
    [
      "another body of a request",
      "encode",
      {
        rule: { post: "/a", body: "*" },
        message: { int32Value: 1 },
        expect: { path: "/a", query: "", body: {} },
      },
    ],
    ["a message that can be encoded", "encode", { rule: { get: "/a" }, message: {}, expect: { error: "x" } }],
    ["an unknown key", "http", { request, expect: { http: 200, trailers: {} } }],
    ["an unknown key of a request", "http", { request: { ...request, tls: true }, expect: {} }],
    ["an unknown level", "http", { level: "may", request, expect: {} }],
  ])("%s", async (_what, suite, vector) => {
    expect(await problemsOf(suite, vector)).not.toEqual([]);
  });

  it.each<[string, JsonObject, JsonObject]>([
    [
      "body_gzip",
      {
        ...request,
        method: "POST",
        headers: { "content-type": "application/json", "content-encoding": "gzip" },
        body_gzip: '{"theme":"x"}',
      },
      { rpc: { method: "CreateShelf", message: { shelf: { theme: "x" } } }, http: 200 },
    ],
    [
      "a list of values for a header",
      { ...request, headers: { accept: ["text/html", "application/json"] } },
      { http: 200, headers: { "content-type": ["application/json"], "x-none": [] } },
    ],
    ["a raw request", { ...request, raw_socket: "GET / HTTP/1.1\r\n\r\n" }, { http: 400 }],
    [
      "messages followed by an error",
      { method: "GET", path: "/v1/shelves/1/books:stream" },
      {
        http: 200,
        reply: {
          messages: [{ name: "1" }],
          error: {
            code: "ABORTED",
            message: "m",
            details: [{ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay: "1s" }],
          },
        },
        headers: { "content-type": ["application/x-ndjson"] },
      },
    ],
  ])("nothing wrong with %s", async (_what, sent, expected) => {
    expect(await problemsOf("http", { name: "X", request: sent, expect: expected })).toEqual([]);
  });
});

describe("npm run vectors", () => {
  const files = mkdtempSync(join(tmpdir(), "countersign-vectors-test-"));
  afterAll(() => rmSync(files, { recursive: true }));

  const write = (name: string, vectors: unknown) => {
    writeFileSync(join(files, name), JSON.stringify(vectors));
    return join(files, name);
  };
  const vectorsOf = (...http: Partial<HttpVector>[]) => ({
    format: "transcoding-vectors/1",
    suites: { http: http.map((vector) => ({ name: "n", request: { method: "GET", path: "/" }, ...vector })) },
  });
  const run = async (...paths: string[]) => {
    const lines: string[] = [];
    const errors: string[] = [];
    const log = (text: string) => lines.push(...text.split("\n"));
    const error = (text: string) => errors.push(text);
    const status = await runFiles(paths, { root, cwd: files, log, error });
    return { status, lines, stderr: errors.join("\n") };
  };

  it("passes correct vectors, and counts optional ones separately", async () => {
    write("right.json", vectorsOf({ id: "A", level: "must", expect: { http: 404 } }));
    const path = write("optional.json", vectorsOf({ id: "B", level: "optional", expect: { http: 200 } }));
    const expected = [
      "B (optional) n",
      "  the status is 404, not 200",
      "optional: 0 passed, 1 failed",
      "1 passed, 0 failed",
    ];
    expect(await run("right.json", path)).toEqual({ status: 0, lines: expected, stderr: "" });

    // The same with the command itself.
    execFileSync(join(root, "node_modules/.bin/tsc"), ["-p", "tsconfig.vectors.json"], { cwd: root });
    const main = join(root, "build/test/vectors/main.js");
    const env = { ...process.env, INIT_CWD: files };
    const { status, stdout } = spawnSync(process.execPath, [main, "right.json", path], { cwd: root, env });
    expect([status, stdout.toString().trimEnd().split("\n")]).toEqual([0, expected]);
  });

  it.each(["must", "should"] as const)("fails if a vector of level %s fails", async (level) => {
    const { status, lines } = await run(
      write("wrong.json", vectorsOf({ id: "A", level, expect: { http: 200 } })),
    );
    expect(lines.at(-1)).toBe("0 passed, 1 failed");
    expect(status).toBe(1);
  });

  it("uses the messages of a vectors.proto in the folder of the file", async () => {
    const proto = `syntax = "proto3"; package transcoding.vectors.v1; import "google/api/annotations.proto";
      service Other { rpc One(M) returns (M) { option (google.api.http) = {get: "/other/{a}"}; } }
      message M { string a = 1; }`;
    writeFileSync(join(files, "vectors.proto"), proto);
    const rpc = { method: "One", message: { a: "x" } };
    const request = { method: "GET", path: "/other/x" };
    const path = write(
      "other.json",
      vectorsOf({ id: "A", level: "must", request, expect: { rpc, http: 200 } }),
    );
    const { status, lines, stderr } = await run(path);
    rmSync(join(files, "vectors.proto"));
    expect(stderr).toBe("");
    expect(lines.at(-1)).toBe("1 passed, 0 failed");
    expect(status).toBe(0);
  });

  it.each<[string, () => string[], string]>([
    ["no file", () => [], "usage: npm run vectors -- FILE..."],
    ["a missing file", () => ["none.json"], "none.json: the file can't be read"],
    [
      "a file of another format",
      () => [write("x.json", { format: "y" })],
      "the format is not transcoding-vectors/1",
    ],
    [
      "a file without suites",
      () => [write("x.json", { format: "transcoding-vectors/1" })],
      "there are no suites",
    ],
    [
      "an unknown suite",
      () => [write("x.json", { format: "transcoding-vectors/1", suites: { grpc: [] } })],
      "the suite grpc is unknown",
    ],
    [
      "a file that is not JSON",
      () => {
        writeFileSync(join(files, "x.json"), "{");
        return ["x.json"];
      },
      "x.json: the file is not JSON",
    ],
  ])("reports %s", async (_what, paths, problem) => {
    const { status, stderr } = await run(...paths());
    expect(stderr).toContain(problem);
    expect(status).toBe(1);
  });
});
