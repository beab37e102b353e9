import { describe, expect, test } from "vitest";
import { createCors } from "../../src/http/cors.ts";
import { send, start, type Transport, tls, transports } from "../support/http/requests.ts";

function startWith(allowedOrigins: readonly string[], { isTls }: Transport) {
  const cors = createCors({ allowedOrigins });
  return start({
    ...(isTls ? { tls } : {}),
    handler: (request, response) => {
      if (!cors(request, response)) response.writeHead(200, { "content-type": "text/plain" }).end("hello");
    },
  });
}

const app = "https://app.example.com";
const path = "/countersign.user.v3alpha.UserService/AddOTPEmail";
const preflight = {
  "access-control-request-method": "POST",
  "access-control-request-headers": "content-type",
};

function names(list: string | string[] | undefined): string[] {
  return `${list}`.split(", ").map((name) => name.toLowerCase());
}

describe.each(transports)("$name", (transport) => {
  test.each([
    ["Connect", ["content-type", "connect-protocol-version", "connect-timeout-ms"]],
    ["gRPC-Web", ["content-type", "x-grpc-web", "x-user-agent", "grpc-timeout"]],
    ["REST", ["content-type", "authorization", "idempotency-key", "accept-language"]],
  ])("answers the preflight of %s", async (_name, fields) => {
    const server = await startWith(["https://other.example.com", app], transport);
    const headers = { origin: app, ...preflight, "access-control-request-headers": fields.join(",") };
    const answer = await send(server, transport, { method: "OPTIONS", path, headers });
    expect(answer.status).toBe(204);
    expect(answer.body).toBe("");
    expect(answer.headers["access-control-allow-origin"]).toBe(app);
    expect(names(answer.headers["access-control-allow-headers"])).toEqual(expect.arrayContaining(fields));
    expect(names(answer.headers["access-control-allow-methods"]).sort()).toEqual([
      "delete",
      "get",
      "patch",
      "post",
      "put",
    ]);
    expect(Number(answer.headers["access-control-max-age"])).toBeGreaterThan(0);
    expect(answer.headers.vary).toBe("Origin");
    expect(answer.headers["access-control-allow-credentials"]).toBeUndefined();
    expect(answer.headers["content-length"]).toBeUndefined();
  });

  test("exposes a reply and its headers to an allowed origin", async () => {
    const server = await startWith([app], transport);
    const answer = await send(server, transport, { method: "POST", path, headers: { origin: app } });
    expect(answer).toMatchObject({ status: 200, body: "hello" });
    expect(answer.headers["access-control-allow-origin"]).toBe(app);
    expect(answer.headers.vary).toBe("Origin");
    expect(names(answer.headers["access-control-expose-headers"])).toEqual(
      expect.arrayContaining([
        "grpc-status",
        "grpc-message",
        "grpc-status-details-bin",
        "trailer-grpc-status",
        "retry-after",
        "www-authenticate",
        "*",
      ]),
    );
  });

  test.each([
    ["another origin", "https://evil.example"],
    ["another scheme", "http://app.example.com"],
    ["another port", "https://app.example.com:8443"],
    ["a longer host", "https://app.example.com.evil.example"],
    ["another case", "https://APP.example.com"],
    ["an opaque origin", "null"],
    ["two origins", `${app}, https://evil.example`],
  ])("sends no CORS headers to %s", async (_name, origin) => {
    const server = await startWith([app], transport);
    for (const method of ["OPTIONS", "POST"]) {
      const answer = await send(server, transport, { method, path, headers: { origin, ...preflight } });
      expect(answer.status).toBe(method === "OPTIONS" ? 204 : 200);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control-"))).toEqual([]);
      expect(answer.headers.vary).toBe("Origin");
    }
  });

  test("sends Vary even to requests without an origin", async () => {
    const server = await startWith([app], transport);
    const answer = await send(server, transport);
    expect(answer.headers.vary).toBe("Origin");
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("exposes the error of a failed handler to an allowed origin", async () => {
    const cors = createCors({ allowedOrigins: [app] });
    const server = await start({
      ...(transport.isTls ? { tls } : {}),
      handler: (request, response) => {
        cors(request, response);
        response.setHeader("content-encoding", "gzip");
        throw new Error("secret");
      },
    });
    const answer = await send(server, transport, { method: "POST", path, headers: { origin: app } });
    expect(answer.status).toBe(500);
    expect(answer.headers).toMatchObject({ "access-control-allow-origin": app, vary: "Origin" });
    expect(answer.headers["content-encoding"]).toBeUndefined();
  });

  test("allows any origin with *", async () => {
    const server = await startWith(["*"], transport);
    for (const method of ["OPTIONS", "POST"]) {
      const headers = { origin: "https://anywhere.example", ...preflight };
      const answer = await send(server, transport, { method, path, headers });
      expect(answer.headers["access-control-allow-origin"]).toBe("*");
      expect(answer.headers.vary).toBeUndefined();
      expect(answer.headers["access-control-allow-credentials"]).toBeUndefined();
    }
  });

  test("allows no origin by default", async () => {
    const server = await startWith([], transport);
    const answer = await send(server, transport, {
      method: "OPTIONS",
      path,
      headers: { origin: app, ...preflight },
    });
    expect(answer.status).toBe(204);
    expect(answer.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test.each([
    ["without an origin", preflight],
    ["without a requested method", { origin: app }],
  ])("passes OPTIONS %s to the handler", async (_name, headers) => {
    const server = await startWith([app], transport);
    const answer = await send(server, transport, { method: "OPTIONS", path, headers });
    expect(answer).toMatchObject({ status: 200, body: "hello" });
  });
});

test("rejects * together with an origin", () => {
  expect(() => createCors({ allowedOrigins: ["*", app] })).toThrow("alone");
});
