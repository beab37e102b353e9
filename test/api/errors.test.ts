import { describe, expect, it } from "vitest";
import { startTestApp, type TestApp } from "../support/app.ts";

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

/** Sends a body as it is and reads the error of Connect (code by name) or REST (google.rpc.Status). */
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

async function startWithUser(): Promise<TestApp> {
  const test = await startTestApp();
  await (await test.admin()).createUser({
    userId: "u",
    organization: { org: { case: "orgId", value: "o" } },
  });
  return test;
}

describe.each([
  ["REST", rest, (body: object) => body],
  ["Connect", rpc, (body: object) => ({ userId: "u", ...body })],
] as const)("over %s", (_name, path, wrap) => {
  it("the published example, which sets all three verifications, is told to keep one", async () => {
    const test = await startWithUser();
    const email = {
      address: "mini@mouse.com",
      sendCode: {
        urlTemplate: "https://example.com/email/verify?userID={{.UserID}}&code={{.Code}}&orgID={{.OrgID}}",
      },
      returnCode: {},
      isVerified: true,
    };
    const reply = await send(test, path, JSON.stringify(wrap({ email })));
    expect(reply).toMatchObject({ status: 400, domain: "countersign" });
    expect([...reply.fields].sort()).toEqual(["email.is_verified", "email.return_code", "email.send_code"]);
    for (const field of ["send_code", "return_code", "is_verified"]) expect(reply.message).toContain(field);
    expect(reply.message).toMatch(/keep .*one/);
  });

  it.each([
    ["no JSON", "{", []],
    ["nothing", "", []],
    ["a list", "[]", []],
    ["a string", '"x"', []],
    ["null", "null", []],
    ["a wrong type", '{"email":{"address":5}}', ["email.address"]],
    ["a wrong type in a oneof", '{"email":{"address":"a@x.io","isVerified":"yes"}}', ["email.is_verified"]],
    ["a message that is a number", '{"email":7}', ["email"]],
    ["a missing message", "{}", ["email"]],
    ["an address that is none", '{"email":{"address":"a@x.io,b@y.io"}}', ["email.address"]],
    ["both spellings", '{"email":{"address":"a@x.io","sendCode":{},"send_code":{}}}', ["email.send_code"]],
  ])("%s is a 400 that names the field", async (_case, body, fields) => {
    const test = await startWithUser();
    const json = body.startsWith("{") && body.length > 1 ? JSON.stringify(wrap(JSON.parse(body))) : body;
    const reply = await send(test, path, json);
    expect(reply).toMatchObject({
      status: 400,
      domain: "countersign",
      reason: expect.stringMatching(/^[A-Z_]+$/),
    });
    expect(reply.fields).toEqual(fields);
    expect(reply.message.length).toBeGreaterThan(10);
  });

  it("replies are not to be stored, errors neither", async () => {
    const test = await startWithUser();
    const reply = await send(test, path, "{");
    expect(reply.headers.get("cache-control")).toBe("no-store");
  });

  it("T33 a body above 64 KiB is refused", async () => {
    const test = await startWithUser();
    const reply = await send(test, path, JSON.stringify(wrap({ email: { address: "x".repeat(70_000) } })));
    expect([413, 429]).toContain(reply.status);
    expect(reply.domain).toBe("countersign");
  });
});

describe("over REST", () => {
  it.each([
    ["a path that is not there", "/v3alpha/nothing", "POST", 404],
    ["a slash at the end", "/v3alpha/users/u/otp_email/", "POST", 404],
    ["a method that is not there", "/v3alpha/users/u", "PUT", 405],
    ["a parameter that is not there", "/v3alpha/users/u?deep=1", "GET", 400],
    ["T35 the id of the path as a parameter", "/v3alpha/users/u?user_id=v", "GET", 400],
    ["a token as a parameter", "/v3alpha/users/u?access_token=x", "GET", 400],
  ])("%s is refused as a google.rpc.Status", async (_name, path, method, status) => {
    const test = await startWithUser();
    const reply = await send(test, path, "", { method, body: null });
    expect(reply).toMatchObject({ status, domain: "countersign" });
    expect(reply.headers.get("content-type")).toMatch(/^application\/json/);
    if (status === 405) expect(reply.headers.get("allow")).toContain("GET");
  });

  it("T36 no header changes the method", async () => {
    const test = await startWithUser();
    const headers = { "x-http-method-override": "DELETE" };
    const reply = await send(test, rest, "{}", { headers });
    expect(reply).toMatchObject({ status: 400, fields: ["email"] });
  });

  it("a form is refused", async () => {
    const test = await startWithUser();
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    const reply = await send(test, rest, "email=a@x.io", { headers });
    expect(reply.status).toBe(415);
  });
});

describe("an unforeseen error", () => {
  it("T49 is told by the id under which it is logged, and by nothing else", async () => {
    const test = await startWithUser();
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
