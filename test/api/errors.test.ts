import { describe, expect, it } from "vitest";
import { shareTestApp, startTestApp, type TestApp } from "../support/app.ts";
import { addUser } from "../support/users.ts";

const rpc = "/countersign.user.v3alpha.UserService/AddOTPEmail";
const rest = "/v3alpha/users/u/otp_email";

interface ErrorDetail {
  "@type"?: string;
  type?: string;
  debug?: Record<string, unknown>;
  reason?: string;
  domain?: string;
  fieldViolations?: { field: string }[];
}

interface ErrorReply {
  status: number;
  message: string;
  reason: unknown;
  domain: unknown;
  fields: string[];
  headers: Headers;
}

/** Sends a raw body and parses the error of Connect or REST (google.rpc.Status). */
async function send(test: TestApp, path: string, body: string, init: RequestInit = {}): Promise<ErrorReply> {
  const token = await test.token("admin", { permissions: ["user.write"] });
  const response = await fetch(test.origin + path, {
    method: "POST",
    body,
    ...init,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...init.headers },
  });
  const error = (await response.json()) as { message: string; details: ErrorDetail[] };
  const details = (error.details ?? []).map((detail) => detail.debug ?? detail) as ErrorDetail[];
  const info = details.find((detail) => detail.reason !== undefined);
  return {
    status: response.status,
    message: error.message,
    reason: info?.reason,
    domain: info?.domain,
    fields: details.flatMap((detail) => detail.fieldViolations ?? []).map((violation) => violation.field),
    headers: response.headers,
  };
}

const app = shareTestApp({ setUp: async (test) => addUser(await test.admin()) });

describe.each([
  ["REST", rest, (body: object) => body],
  ["Connect", rpc, (body: object) => ({ userId: "u", ...body })],
] as const)("over %s", (_name, path, wrap) => {
  it("the published example, which sets all three verifications, is refused with advice to keep one", async () => {
    const email = {
      address: "mini@mouse.com",
      sendCode: {
        urlTemplate: "https://example.com/email/verify?userID={{.UserID}}&code={{.Code}}&orgID={{.OrgID}}",
      },
      returnCode: {},
      isVerified: true,
    };
    const reply = await send(app(), path, JSON.stringify(wrap({ email })));
    expect(reply).toMatchObject({ status: 400, domain: "countersign" });
    expect([...reply.fields].sort()).toEqual(["email.is_verified", "email.return_code", "email.send_code"]);
    for (const field of ["send_code", "return_code", "is_verified"]) expect(reply.message).toContain(field);
    expect(reply.message).toMatch(/keep .*one/);
  });

  it.each([
    ["invalid JSON", "{", []],
    ["an empty body", "", []],
    ["an array", "[]", []],
    ["a string", '"x"', []],
    ["null", "null", []],
    ["a wrong type", '{"email":{"address":5}}', ["email.address"]],
    ["a wrong type in a oneof", '{"email":{"address":"a@x.io","isVerified":"yes"}}', ["email.is_verified"]],
    ["a message that is a number", '{"email":7}', ["email"]],
    ["a missing message", "{}", ["email"]],
    ["an invalid address", '{"email":{"address":"a@x.io,b@y.io"}}', ["email.address"]],
    [
      "both spellings of a field",
      '{"email":{"address":"a@x.io","sendCode":{},"send_code":{}}}',
      ["email.send_code"],
    ],
  ])("%s is 400 and names the field", async (_case, body, fields) => {
    const json = body.startsWith("{") && body.length > 1 ? JSON.stringify(wrap(JSON.parse(body))) : body;
    const reply = await send(app(), path, json);
    expect(reply).toMatchObject({
      status: 400,
      domain: "countersign",
      reason: expect.stringMatching(/^[A-Z_]+$/),
    });
    expect(reply.fields).toEqual(fields);
    expect(reply.message.length).toBeGreaterThan(10);
  });

  it("an error has cache-control no-store", async () => {
    const reply = await send(app(), path, "{");
    expect(reply.headers.get("cache-control")).toBe("no-store");
  });

  it("T33 a body larger than 64 KiB is refused", async () => {
    const reply = await send(app(), path, JSON.stringify(wrap({ email: { address: "x".repeat(70_000) } })));
    expect([413, 429]).toContain(reply.status);
    expect(reply.domain).toBe("countersign");
  });
});

describe("over REST", () => {
  it.each([
    ["an unknown path", "/v3alpha/nothing", "POST", 404],
    ["a trailing slash", "/v3alpha/users/u/otp_email/", "POST", 404],
    ["an unknown method", "/v3alpha/users/u", "PUT", 405],
    ["an unknown parameter", "/v3alpha/users/u?deep=1", "GET", 400],
    ["T35 a parameter that repeats the id of the path", "/v3alpha/users/u?user_id=v", "GET", 400],
    ["a token as a parameter", "/v3alpha/users/u?access_token=x", "GET", 400],
  ])("%s is refused with a google.rpc.Status", async (_name, path, method, status) => {
    const reply = await send(app(), path, "", { method, body: null });
    expect(reply).toMatchObject({ status, domain: "countersign" });
    expect(reply.headers.get("content-type")).toMatch(/^application\/json/);
    if (status === 405) expect(reply.headers.get("allow")).toContain("GET");
  });

  it("T36 a header does not override the method", async () => {
    const headers = { "x-http-method-override": "DELETE" };
    const reply = await send(app(), rest, "{}", { headers });
    expect(reply).toMatchObject({ status: 400, fields: ["email"] });
  });

  it("a form is refused", async () => {
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const reply = await send(app(), rest, "email=a@x.io", { headers });
    expect(reply.status).toBe(415);
  });
});

describe("an unexpected error", () => {
  it("T49 reveals only the id with which it is logged", async () => {
    const test = await startTestApp();
    await addUser(await test.admin());
    await test.app.store.write((trx) => trx.schema.dropTable("outbox").execute());
    const reply = await send(test, rest, '{"email":{"address":"mini@mouse.com"}}');
    expect(reply).toMatchObject({ status: 500, reason: "INTERNAL", domain: "countersign" });
    const id = /^internal error, logged as ([0-9a-f-]{36})$/.exec(reply.message)?.[1];
    expect(id).toBeDefined();
    expect(test.logLines.some((line) => line.includes(id!) && line.includes("outbox"))).toBe(true);
    const rows = await test.app.store.db.selectFrom("otp_emails").selectAll().execute();
    expect(rows).toEqual([]);
  });
});
