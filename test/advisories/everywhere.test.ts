import { create } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ChallengeService } from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { AddOTPEmailRequestSchema, UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { codeIn, type Protocol, startTestApp, type TestApp, transport, withToken } from "../support/app.ts";
import { dumpOf } from "../support/db/database.ts";
import { outcomeOf, refusalOf } from "../support/errors.ts";
import { type Caller, callerOf, everywhere, type Issued } from "../support/otp/purposes.ts";
import { addUser, mailsNow } from "../support/users.ts";

const address = "mini@mouse.com";
const audience = "https://app.example.com";

/** Headers that make each call look like another client. */
function disguise(i: number): Record<string, string> {
  return {
    "x-forwarded-for": `10.0.0.${i}`,
    forwarded: `for=10.0.1.${i}`,
    "x-real-ip": `10.0.2.${i}`,
    "user-agent": `agent ${i}`,
  };
}

/** A caller with its own token, connection and disguise. */
async function callerAs(test: TestApp, protocol: Protocol, i: number): Promise<Caller> {
  const token = await test.token(`admin-${i}`, { permissions: ["user.write", "otp.challenge"] });
  const plain = withToken(transport(test.origin, protocol), token);
  const disguised: Transport = {
    unary(method, signal, timeoutMs, header, input, values) {
      const headers = new Headers(header);
      for (const [name, value] of Object.entries(disguise(i))) headers.set(name, value);
      return plain.unary(method, signal, timeoutMs, headers, input, values);
    },
    stream: (...call) => plain.stream(...call),
  };
  return {
    users: createClient(UserService, disguised),
    challenges: createClient(ChallengeService, disguised),
  };
}

describe.each(everywhere)("codes of $purpose.name over $protocol", ({ purpose, protocol }) => {
  it("T06 share their attempts over all callers and clients", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test, protocol);
    await addUser(caller.users);
    const issued = await purpose.issue(caller, await purpose.prepare(caller));
    const outcomes: string[] = [];
    for (let i = 0; i < 6; i++) {
      const code = purpose.wrong(issued.code, i + 1);
      outcomes.push(await outcomeOf(purpose.verify(await callerAs(test, protocol, i), issued, code)));
    }
    expect(outcomes).toEqual([...Array(5).fill("CODE_INVALID"), "ATTEMPTS_EXHAUSTED"]);
  });

  it("T02 are compared at most five times when 50 come at once", async () => {
    const { caller, issued } = await startWithCode(protocol);
    const codes = [...Array.from({ length: 49 }, (_, i) => purpose.wrong(issued.code, i + 1)), issued.code];
    const outcomes = await Promise.all(codes.map((code) => outcomeOf(purpose.verify(caller, issued, code))));
    const compared = outcomes.filter((outcome) => outcome === "CODE_INVALID" || outcome === "OK");
    expect(compared).toHaveLength(5);
    expect(outcomes.filter((outcome) => outcome === "ATTEMPTS_EXHAUSTED")).toHaveLength(45);
  });

  it("T03 T04 are accepted once when 20 come at once, and never again, even after a restart", async () => {
    const { test, caller, issued } = await startWithCode(protocol);
    const outcomes = await Promise.all(
      Array.from({ length: 20 }, () => outcomeOf(purpose.verify(caller, issued))),
    );
    expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(await outcomeOf(purpose.verify(caller, issued))).toBe("CODE_USED");
    await test.app[Symbol.asyncDispose]();
    const again = await startTestApp({ dataDir: test.dataDir, clock: test.clock });
    expect(await outcomeOf(purpose.verify(await callerOf(again, protocol), issued))).toBe("CODE_USED");
  });

  it("T13 don't work for another address of the user that is added at the same time", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test, protocol);
    await addUser(caller.users);
    const [one, other] = await Promise.all(
      ["attacker@x.io", "victim@x.io"].map(async (address) =>
        purpose.issue(caller, await purpose.prepare(caller, "u", address)),
      ),
    );
    if (!one || !other) throw new Error("no two codes");
    expect(await outcomeOf(purpose.verify(caller, other, one.code))).toBe("CODE_INVALID");
    expect(await outcomeOf(purpose.verify(caller, one, other.code))).toBe("CODE_INVALID");
    await purpose.verify(caller, one);
    await purpose.verify(caller, other);
  });

  it("T25 are mailed to an address at most five times an hour, over all users", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test, protocol);
    const outcomes: string[] = [];
    for (let i = 0; i < 8; i++) {
      await addUser(caller.users, `u${i}`, `o${i % 2}`);
      const name = await purpose.prepare(caller, `u${i}`, address);
      outcomes.push(await outcomeOf(purpose.mail(caller, name)));
    }
    expect(outcomes).toEqual([...Array(5).fill("OK"), ...Array(3).fill("SEND_LIMIT_REACHED")]);
    const queued = await test.app.store.db.selectFrom("outbox").select("mail_id").execute();
    expect(queued).toHaveLength(5);
  });

  async function startWithCode(protocol: Protocol) {
    const test = await startTestApp();
    const caller = await callerOf(test, protocol);
    await addUser(caller.users);
    return { test, caller, issued: await purpose.issue(caller, await purpose.prepare(caller)) };
  }

  it("T14 appear in the mail only: in no reply, error, header, log line or table", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test, protocol);
    await addUser(caller.users);
    const { issued, reply } = await mailed(test, caller, purpose.name);
    const received: unknown[] = [reply];
    for (const code of [purpose.wrong(issued.code), issued.code, issued.code]) {
      const call = purpose.verify(caller, issued, code);
      received.push(
        await call.catch((error) => ({
          ...error,
          message: error.message,
          details: error.details,
          metadata: [...error.metadata],
        })),
      );
    }
    received.push(
      await caller.users.listEvents({ userId: "u" }),
      await caller.users.listOTPEmails({ userId: "u" }),
    );
    const replies = JSON.stringify(received, (_, value) => readable(value));
    expect(replies).toContain("CODE_INVALID");
    expect(replies).toContain("CODE_USED");
    const logged = test.logLines.join("");
    await test.app[Symbol.asyncDispose]();
    const stored = await dumpOf(test.dataDir);
    expect(stored).toContain(address);
    // Many ids contain the same six digits: search for the code as a word.
    for (const secret of [issued.code, purpose.wrong(issued.code)]) {
      const word = new RegExp(`(?<![0-9A-Z])${secret}(?![0-9A-Z])`, "i");
      for (const text of [replies, logged]) expect(text).not.toMatch(word);
      if (purpose.name === "enrolment") expect(stored).not.toContain(secret);
    }
  });

  it("T49 fail with an id and no details on an unexpected error", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test, protocol);
    await addUser(caller.users);
    const name = await purpose.prepare(caller);
    await test.app.store.write((trx) => trx.schema.dropTable("outbox").execute());
    const refusal = await refusalOf(purpose.mail(caller, name));
    expect(refusal).toMatchObject({ code: "Internal", reason: "INTERNAL", domain: "countersign" });
    const id = /internal error, logged as ([0-9a-f-]{36})$/.exec(refusal.message)?.[1] ?? "none";
    expect(JSON.stringify(refusal)).not.toMatch(/outbox|sql|select|\.ts:/i);
    expect(test.logLines.some((line) => line.includes(id) && line.includes("outbox"))).toBe(true);
  });
});

function readable(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("latin1");
  return typeof value === "bigint" ? `${value}` : value;
}

/** Issues a code by mail. */
async function mailed(
  test: TestApp,
  { users, challenges }: Caller,
  purpose: "enrolment" | "login",
): Promise<{ issued: Issued; reply: unknown }> {
  const name = { userId: "u", challengeId: "" };
  if (purpose === "enrolment") {
    const reply = await users.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    return { issued: { ...name, otpEmailId: reply.otpEmailId, code: codeIn(mail!) }, reply };
  }
  const email = { address, verification: { case: "isVerified", value: true } } as const;
  const { otpEmailId } = await users.addOTPEmail({ userId: "u", email });
  const reply = await challenges.createOTPEmailChallenge({ userId: "u", otpEmailId, audience });
  await test.mails(address);
  const [mail] = await mailsNow(test, address);
  const code = /^\d{6}$/m.exec(mail?.text ?? "")?.[0] ?? "";
  return { issued: { ...name, otpEmailId, challengeId: reply.challengeId, code }, reply };
}

describe("T15 fields that callers may not set have no effect", () => {
  const isVerified = async (test: TestApp) => {
    const { db } = test.app.store;
    const rows = await db.selectFrom("otp_emails").select("verify_time").execute();
    return rows.map((row) => row.verify_time !== null);
  };

  it("over Connect JSON, under both of their names", async () => {
    const test = await startTestApp();
    await addUser(await test.admin());
    const token = await test.token("u");
    const extras = {
      isVerified: true,
      is_verified: true,
      verified: true,
      state: "READY",
      bypass_otp: 1,
      attempts: 0,
    };
    const reply = await fetch(`${test.origin}/countersign.user.v3alpha.UserService/AddOTPEmail`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ ...extras, userId: "u", email: { address, verified: true, state: "READY" } }),
    });
    expect(reply.status).toBe(200);
    expect(await isVerified(test)).toEqual([false]);
    // Where the field exists, setting it is refused.
    const vouched = await fetch(`${test.origin}/countersign.user.v3alpha.UserService/AddOTPEmail`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ userId: "u", email: { address: "b@mouse.com", is_verified: true } }),
    });
    expect(vouched.status).toBe(403);
    expect(await isVerified(test)).toEqual([false]);
  });

  it.each(["Connect proto", "gRPC", "gRPC-Web"] as const)("as unknown fields over %s", async (protocol) => {
    const test = await startTestApp();
    await addUser(await test.admin());
    const client = test.client(await test.token("u"), protocol);
    const unknown = (no: number) => ({ no, wireType: 0, data: Uint8Array.of(1) });
    const request = create(AddOTPEmailRequestSchema, { userId: "u", email: { address } });
    request.$unknown = [unknown(4), unknown(99)];
    if (request.email) request.email.$unknown = [unknown(5), unknown(11)];
    await client.addOTPEmail(request);
    expect(await isVerified(test)).toEqual([false]);
  });
});
