import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  codeIn,
  protocols,
  shareTestApp,
  startTestApp,
  type TestApp,
  type UserClient,
  wrongCode,
} from "../../support/app.ts";
import { dumpOf } from "../../support/db/database.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { rounds } from "../../support/soak.ts";
import { eventTypes, newUser } from "../../support/users.ts";

const second = 1_000;
const minute = 60 * second;
const address = "mini@mouse.com";

interface Pending {
  readonly test: TestApp;
  readonly client: UserClient;
  readonly userId: string;
  readonly otpEmailId: string;
  readonly code: string;
  verify(code: string, client?: UserClient): Promise<unknown>;
}

/** A user with an unverified address. */
async function pending(test?: TestApp, userId = "u"): Promise<Pending> {
  const running = test ?? (await startTestApp());
  const client = await running.admin();
  await client.createUser({ userId, organization: { org: { case: "orgId", value: "o" } } });
  const email = { address, verification: { case: "returnCode", value: {} } } as const;
  const { otpEmailId, verificationCode = "" } = await client.addOTPEmail({ userId, email });
  const verify = (code: string, caller = client) => caller.verifyOTPEmail({ userId, otpEmailId, code });
  return { test: running, client, userId, otpEmailId, code: verificationCode, verify };
}

/** Adds another address, and returns a function that gets its code. */
async function pendingOf({ test, client, userId }: Pending, other: string) {
  const email = { address: other, verification: { case: "returnCode", value: {} } } as const;
  await client.addOTPEmail({ userId, email });
  return async () => {
    const client = await test.admin();
    const { otpEmailId, verificationCode: code = "" } = await client.addOTPEmail({ userId, email });
    return { otpEmailId, code };
  };
}

async function rowOf({ test, otpEmailId }: Pending) {
  return test.app.store.db
    .selectFrom("otp_emails")
    .selectAll()
    .where("otp_email_id", "=", otpEmailId)
    .executeTakeFirstOrThrow();
}

const app = shareTestApp();

describe.each(protocols)("VerifyOTPEmail over %s", (protocol) => {
  it("verifies the address with the mailed code, ignoring case, spaces and dashes", async () => {
    const test = app();
    const client = await test.admin(protocol);
    const { userId, address } = await newUser(test);
    const { otpEmailId } = await client.addOTPEmail({ userId, email: { address } });
    const [mail] = await test.mails(address);
    const typed = ` ${codeIn(mail!).toLowerCase().replace(/^.{4}/, "$& - ")}`;
    const { details } = await client.verifyOTPEmail({ userId, otpEmailId, code: typed });
    expect(details).toMatchObject({ resourceOwner: "o" });
    const { user } = await client.getUserByID({ userId });
    expect(user?.authenticators?.otpEmail).toMatchObject([{ otpEmailId, address, isVerified: true }]);
  });

  it("T01 T04 refuses a wrong code and a used one with the same errors", async () => {
    const { test, userId, otpEmailId, code } = await pending(app(), protocol);
    const client = await test.admin(protocol);
    const verify = (typed: string) => client.verifyOTPEmail({ userId, otpEmailId, code: typed });
    expect(await refusalOf(verify(wrongCode(code)))).toMatchObject({
      code: "InvalidArgument",
      reason: "CODE_INVALID",
      domain: "countersign",
      fields: ["code"],
    });
    await verify(code);
    expect(await refusalOf(verify(code))).toMatchObject({ code: "FailedPrecondition", reason: "CODE_USED" });
  });
});

describe("VerifyOTPEmail", () => {
  it("T01 refuses the sixth attempt even with the right code", async () => {
    const p = await pending();
    for (let i = 1; i <= 5; i++) expect(await outcomeOf(p.verify(wrongCode(p.code, i)))).toBe("CODE_INVALID");
    const right = await refusalOf(p.verify(p.code));
    expect(right).toMatchObject({ code: "ResourceExhausted", reason: "ATTEMPTS_EXHAUSTED", retryAfter: 1 });
    const wrong = await refusalOf(p.verify(wrongCode(p.code)));
    expect({ ...wrong, headers: undefined }).toEqual({ ...right, headers: undefined });
    const events = await eventTypes(p.test);
    expect(events.filter((type) => type === "otp_email.attempts_exhausted")).toHaveLength(1);
    expect(events.filter((type) => type === "otp_email.verify_failed")).toHaveLength(5);
  });

  it("accepts the right code as the fifth attempt, and resets the lock", async () => {
    const p = await pending();
    for (let i = 1; i <= 4; i++) await outcomeOf(p.verify(wrongCode(p.code, i)));
    expect(await outcomeOf(p.verify(p.code))).toBe("OK");
    expect(await rowOf(p)).toMatchObject({ lock_count: 0, locked_until: null, code_salt: null });
  });

  it("T41 counts the attempts over all protocols and the published path together", async () => {
    const p = await pending();
    const outcomes: string[] = [];
    for (const protocol of protocols) {
      outcomes.push(await outcomeOf(p.verify(wrongCode(p.code), await p.test.admin(protocol))));
    }
    expect(outcomes).toEqual(Array(5).fill("CODE_INVALID"));
    const reply = await fetch(
      `${p.test.origin}/zitadel.user.v3alpha.UserService/VerifyOTPEmailRegistration`,
      {
        method: "POST",
        headers: {
          authorization: `Bearer ${await p.test.token("admin", { permissions: ["user.write"] })}`,
          "content-type": "application/json",
        },
        body: JSON.stringify({ userId: "u", otpEmailId: p.otpEmailId, code: p.code }),
      },
    );
    expect(reply.status).toBe(429);
    expect(reply.headers.get("retry-after")).toBe("1");
  });

  it("T06 counts the attempts of all callers and client addresses together", async () => {
    const p = await pending();
    const outcomes: string[] = [];
    for (let i = 0; i < 6; i++) {
      const client = p.test.client(await p.test.token(`admin-${i}`, { permissions: ["user.write"] }));
      const call = client.verifyOTPEmail(
        { userId: "u", otpEmailId: p.otpEmailId, code: wrongCode(p.code) },
        { headers: { "x-forwarded-for": `10.0.0.${i}`, "user-agent": `agent ${i}` } },
      );
      outcomes.push(await outcomeOf(call));
    }
    expect(outcomes).toEqual([...Array(5).fill("CODE_INVALID"), "ATTEMPTS_EXHAUSTED"]);
  });

  it("T02 compares at most five of 200 concurrent codes", async () => {
    const p = await pending();
    const client = await p.test.admin("gRPC");
    const codes = [...Array.from({ length: 199 }, (_, i) => wrongCode(p.code, 1 + (i % 31))), p.code];
    const outcomes = await Promise.all(codes.map((code) => outcomeOf(p.verify(code, client))));
    const count = (outcome: string) => outcomes.filter((o) => o === outcome).length;
    const compared = count("CODE_INVALID") + count("OK");
    expect(compared).toBe(5);
    expect(count("ATTEMPTS_EXHAUSTED")).toBe(195);
    expect(await rowOf(p)).toMatchObject({ attempts: 5, failures: 5, verify_time: null, lock_count: 0 });
  });

  it("T03 accepts the right code in exactly one of 50 concurrent calls", { timeout: 600_000 }, async () => {
    const client = await app().admin("gRPC");
    for (let round = 0; round < rounds(10, 200); round++) {
      const p = await pending(app(), `round-${round}`);
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, () => outcomeOf(p.verify(p.code, client))),
      );
      expect(outcomes.filter((o) => o === "OK")).toHaveLength(1);
      const types = await eventTypes(p.test, p.userId);
      expect(types.filter((type) => type === "otp_email.verified")).toHaveLength(1);
      expect(await outcomeOf(p.verify(p.code))).toBe("CODE_USED");
    }
  });

  it("invalidates a code after five attempts; a retry after the given time gets a new one", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await client.createUser({ userId: "u", organization: { org: { case: "orgId", value: "o" } } });
    const { otpEmailId } = await client.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    const name = { userId: "u", otpEmailId };
    const code = codeIn(mail!);
    test.clock.move(20 * second);
    for (let i = 1; i <= 5; i++) {
      expect(await outcomeOf(client.verifyOTPEmail({ ...name, code: wrongCode(code, i) }))).toBe(
        "CODE_INVALID",
      );
    }
    const refusal = await refusalOf(client.verifyOTPEmail({ ...name, code }));
    expect(refusal).toMatchObject({ reason: "ATTEMPTS_EXHAUSTED", retryAfter: 40 });
    test.clock.move(40 * second);
    await client.resendOTPEmailCode(name);
    const [next] = await test.mails(address, 2);
    await client.verifyOTPEmail({ ...name, code: codeIn(next!) });
  });

  it("T05 T18 locks after ten wrong codes an hour, for twice as long each time", async () => {
    const p = await pending();
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    // A new token for each call, because it is valid for an hour.
    const add = async () => {
      const { verificationCode = "" } = await (await p.test.admin()).addOTPEmail({ userId: "u", email });
      return verificationCode;
    };
    const other = await pendingOf(p, "other@mouse.com");
    let code = p.code;
    let wrong = 0;
    for (let round = 0; round < 30; round++) {
      // Refused while it is locked.
      code = await add().catch(() => code);
      for (let i = 1; i <= 4; i++) {
        if ((await outcomeOf(p.verify(wrongCode(code, i)))) === "CODE_INVALID") wrong++;
      }
    }
    expect(wrong).toBe(10);
    for (const lockMinutes of [5, 10, 20]) {
      expect(await refusalOf(add())).toMatchObject({
        code: "ResourceExhausted",
        reason: "ATTEMPTS_EXHAUSTED",
        retryAfter: lockMinutes * 60,
      });
      p.test.clock.move(lockMinutes * minute - second);
      expect(await refusalOf(add())).toMatchObject({ reason: "ATTEMPTS_EXHAUSTED", retryAfter: 1 });
      p.test.clock.move(second);
      // The lock has ended. While there were ten in the last hour, each further wrong code locks again.
      expect(await outcomeOf(p.verify(wrongCode(await add()), await p.test.admin()))).toBe("CODE_INVALID");
    }
    expect((await eventTypes(p.test)).filter((type) => type === "otp_email.attempts_exhausted")).toHaveLength(
      5,
    );
    // The other authenticator is not affected.
    await (await p.test.admin()).verifyOTPEmail({ userId: "u", ...(await other()) });
    p.test.clock.move(40 * minute);
    expect(await outcomeOf(p.verify(await add(), await p.test.admin()))).toBe("OK");
    expect(await rowOf(p)).toMatchObject({ lock_count: 0, failures: 0, failure_times: "[]" });
  });

  it("locks for a day after a hundred wrong codes in a row, over any time", async () => {
    const p = await pending();
    await p.test.app.store.write((trx) => trx.updateTable("otp_emails").set({ failures: 98 }).execute());
    expect(await outcomeOf(p.verify(wrongCode(p.code, 1)))).toBe("CODE_INVALID");
    expect(await outcomeOf(p.verify(wrongCode(p.code, 2)))).toBe("CODE_INVALID");
    expect(await refusalOf(p.verify(p.code))).toMatchObject({ retryAfter: 86_400 });
    p.test.clock.move(86_400 * second);
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    const client = await p.test.admin();
    const { verificationCode = "" } = await client.addOTPEmail({ userId: "u", email });
    expect(await outcomeOf(p.verify(wrongCode(verificationCode), client))).toBe("CODE_INVALID");
    expect(await refusalOf(p.verify(verificationCode, client))).toMatchObject({ retryAfter: 86_400 });
  });

  it("T19 T50 does not reset the attempts if the authenticator is removed and added again", async () => {
    const p = await pending();
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    let { otpEmailId, code } = p;
    let wrong = 0;
    for (let round = 0; round < 9; round++) {
      expect(
        await outcomeOf(p.client.verifyOTPEmail({ userId: "u", otpEmailId, code: wrongCode(code) })),
      ).toBe("CODE_INVALID");
      wrong++;
      await p.client.removeOTPEmail({ userId: "u", otpEmailId });
      const added = await p.client.addOTPEmail({ userId: "u", email });
      otpEmailId = added.otpEmailId;
      code = added.verificationCode ?? "";
    }
    const { otpEmail } = await p.client.getOTPEmail({ userId: "u", otpEmailId });
    expect(otpEmail?.failedAttemptsLeft).toBe(10 - wrong);
    await outcomeOf(p.client.verifyOTPEmail({ userId: "u", otpEmailId, code: wrongCode(code) }));
    await p.client.removeOTPEmail({ userId: "u", otpEmailId });
    const locked = { reason: "ATTEMPTS_EXHAUSTED", retryAfter: 300 };
    expect(await refusalOf(p.client.addOTPEmail({ userId: "u", email }))).toMatchObject(locked);
    const stored = await p.test.app.store.db.selectFrom("removed_otp_emails").selectAll().execute();
    expect(JSON.stringify(stored)).not.toContain("mouse");
    // Other users with this address are not locked.
    await pending(p.test, "v");
    p.test.clock.move(300 * second);
    await p.client.addOTPEmail({ userId: "u", email });
  });

  it("counts an attempt even if the call fails later, with the same error for right and wrong codes", async () => {
    const p = await pending();
    await p.test.app.store.db.schema.alterTable("events").renameTo("no_events").execute();
    for (let i = 1; i <= 5; i++) {
      const code = i === 2 ? p.code : wrongCode(p.code, i);
      expect(await outcomeOf(p.verify(code))).toBe("INTERNAL");
      expect(await rowOf(p)).toMatchObject({ attempts: i, failures: i, verify_time: null });
    }
    expect(await outcomeOf(p.verify(p.code))).toBe("ATTEMPTS_EXHAUSTED");
    await p.test.app.store.db.schema.alterTable("no_events").renameTo("events").execute();
    expect(await outcomeOf(p.verify(p.code))).toBe("ATTEMPTS_EXHAUSTED");
    expect(await eventTypes(p.test)).toEqual(["user.created", "otp_email.added"]);
  });

  it("keeps the attempts over a restart", async () => {
    const p = await pending();
    for (let i = 1; i <= 5; i++) await outcomeOf(p.verify(wrongCode(p.code, i)));
    await p.test.app[Symbol.asyncDispose]();
    const again = await startTestApp({ dataDir: p.test.dataDir, clock: p.test.clock });
    expect(await outcomeOf(p.verify(p.code, await again.admin()))).toBe("ATTEMPTS_EXHAUSTED");
  });
});

describe("a code", () => {
  it("T04 is accepted once, also after a restart", async () => {
    const p = await pending();
    expect(await outcomeOf(p.verify(p.code))).toBe("OK");
    expect(await outcomeOf(p.verify(p.code))).toBe("CODE_USED");
    await p.test.app[Symbol.asyncDispose]();
    const again = await startTestApp({ dataDir: p.test.dataDir, clock: p.test.clock });
    expect(await outcomeOf(p.verify(p.code, await again.admin()))).toBe("CODE_USED");
  });

  it.each([
    ["599 s", 599 * second, "OK"],
    ["600 s", 600 * second, "CODE_EXPIRED"],
    ["601 s", 601 * second, "CODE_EXPIRED"],
  ])("T07 after %s is %s", async (_name, age, outcome) => {
    const p = await pending();
    p.test.clock.move(age);
    expect(await outcomeOf(p.verify(p.code))).toBe(outcome);
  });

  it("T07 stays expired when the clock is set back", async () => {
    const p = await pending();
    p.test.clock.move(10 * minute);
    expect(await outcomeOf(p.verify(p.code))).toBe("CODE_EXPIRED");
    p.test.clock.move(-60 * minute);
    expect(await outcomeOf(p.verify(p.code))).toBe("CODE_EXPIRED");
  });

  it("T10 cannot be another value of the service", async () => {
    const p = await pending();
    const row = await rowOf(p);
    const strangers = [
      p.otpEmailId,
      "u",
      "o",
      Buffer.from(row.code_salt!).toString("hex"),
      row.code_key_id ?? "",
    ];
    for (const stranger of strangers) expect(await outcomeOf(p.verify(stranger))).toBe("CODE_INVALID");
    // None of them has the format of a code, so none is counted.
    expect(await rowOf(p)).toMatchObject({ attempts: 0 });
  });

  it("T11 is not valid for another user with the same address", async () => {
    const a = await pending(app(), "a");
    const b = await pending(app(), "b");
    expect(await outcomeOf(b.verify(a.code))).toBe("CODE_INVALID");
    const crossed = a.client.verifyOTPEmail({ userId: "b", otpEmailId: a.otpEmailId, code: a.code });
    expect(await outcomeOf(crossed)).toBe("OTP_EMAIL_NOT_FOUND");
    expect(await outcomeOf(b.verify(b.code))).toBe("OK");
  });

  it("T13 never verifies another address that was added concurrently", {
    timeout: 600_000,
  }, async () => {
    const client = await app().admin("gRPC");
    for (let round = 0; round < rounds(50, 1_000); round++) {
      const userId = `two-addresses-${round}`;
      await client.createUser({ userId, organization: { org: { case: "orgId", value: "o" } } });
      const add = (to: string) =>
        client.addOTPEmail({
          userId,
          email: { address: to, verification: { case: "returnCode", value: {} } },
        });
      const both = ["attacker@x.io", "victim@y.io"];
      const [attacker, victim] = await Promise.all((round % 2 ? both : both.reverse()).map(add)).then(
        (added) => (round % 2 ? added : added.reverse()),
      );
      const code = attacker!.verificationCode ?? "";
      expect(await outcomeOf(client.verifyOTPEmail({ userId, otpEmailId: victim!.otpEmailId, code }))).toBe(
        "CODE_INVALID",
      );
      expect(await outcomeOf(client.verifyOTPEmail({ userId, otpEmailId: attacker!.otpEmailId, code }))).toBe(
        "OK",
      );
      const { user } = await client.getUserByID({ userId });
      const verified = user?.authenticators?.otpEmail.filter((e) => e.isVerified).map((e) => e.address);
      expect(verified).toEqual(["attacker@x.io"]);
    }
  });

  it("T20 is refused without counting if the user was locked after it was sent", async () => {
    const p = await pending();
    await p.test.app.store.write((trx) =>
      trx.updateTable("users").set({ state: "locked" }).where("user_id", "=", "u").execute(),
    );
    expect(await refusalOf(p.verify(p.code))).toMatchObject({
      code: "FailedPrecondition",
      reason: "USER_NOT_ACTIVE",
    });
    expect(await rowOf(p)).toMatchObject({ attempts: 0 });
  });

  it("F36 is refused if its key was removed; a new one can be requested, and attempts are kept", async () => {
    const key = (id: string) => `${id}:${Buffer.alloc(32, id).toString("base64")}`;
    const a = await startTestApp({ environment: { COUNTERSIGN_KEYS: key("a") } });
    const p = await pending(a);
    await outcomeOf(p.verify(wrongCode(p.code)));
    await a.app[Symbol.asyncDispose]();

    const both = {
      dataDir: a.dataDir,
      clock: a.clock,
      environment: { COUNTERSIGN_KEYS: `${key("b")},${key("a")}` },
    };
    const rotated = await startTestApp(both);
    const email = { address, verification: { case: "returnCode", value: {} } } as const;
    const again = await (await rotated.admin()).addOTPEmail({ userId: "u", email });
    expect(again.verificationCode).toBe(p.code);
    await rotated.app[Symbol.asyncDispose]();

    const gone = { dataDir: a.dataDir, clock: a.clock, environment: { COUNTERSIGN_KEYS: key("b") } };
    const lost = await startTestApp(gone);
    const client = await lost.admin();
    expect(await outcomeOf(p.verify(p.code, client))).toBe("CODE_EXPIRED");
    const fresh = await client.addOTPEmail({ userId: "u", email });
    expect(fresh.otpEmailId).toBe(p.otpEmailId);
    expect(await outcomeOf(p.verify(fresh.verificationCode ?? "", client))).toBe("OK");
  });
});

describe("an invalid code", () => {
  const bodies: [string, unknown][] = [
    ["missing", undefined],
    ["null", null],
    ["empty", ""],
    ["a space", " "],
    ["zero", 0],
    ["false", false],
    ["an array", []],
    ["an object", {}],
    ["an operator", { $ne: null }],
    ['"undefined"', "undefined"],
    ['"null"', "null"],
    ["one character", "1"],
    ["a prefix", "7QZ4M2K"],
    ["an extra character", "7QZ4M2KXX"],
    ["full-width", "７ＱＺ４Ｍ２ＫＸ"],
    ["a line feed", "7QZ4M2KX\n"],
    ["U+0000", "7QZ4M2KX\u0000"],
    ["an exponent", "1e5"],
    ["hexadecimal", "0x1E240"],
    ["negative", "-12345"],
    ["a number", 12345678],
    ["60 kB of digits", "1".repeat(60_000)],
  ];
  const states = ["valid", "used", "never issued"] as const;

  it.each(states)("T08 T09 is INVALID_ARGUMENT and not counted, if the code is %s", async (state) => {
    const p = await pending();
    if (state === "used") await p.verify(p.code);
    if (state === "never issued") {
      await p.test.app.store.write((trx) =>
        trx
          .updateTable("otp_emails")
          .set({ code_salt: null, code_key_id: null, code_expire_time: null })
          .execute(),
      );
    }
    const before = await rowOf(p);
    const authorization = `Bearer ${await p.test.token("admin", { permissions: ["user.write"] })}`;
    const post = (path: string, body: unknown) =>
      fetch(p.test.origin + path, {
        method: "POST",
        headers: { authorization, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
    for (const [name, code] of bodies) {
      const rest = await post(`/v3alpha/users/u/otp_email/${p.otpEmailId}/verify`, { code });
      const connect = await post("/countersign.user.v3alpha.UserService/VerifyOTPEmail", {
        userId: "u",
        otpEmailId: p.otpEmailId,
        code,
      });
      expect([rest.status, connect.status], name).toEqual([400, 400]);
      expect(await rest.json(), name).toMatchObject({
        code: 3,
        details: expect.arrayContaining([
          expect.objectContaining({ fieldViolations: [expect.objectContaining({ field: "code" })] }),
        ]),
      });
    }
    expect(await rowOf(p)).toEqual(before);
  });
});

describe("the service", () => {
  it("T14 reveals a code in the mail only", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await client.createUser({ userId: "u", organization: { org: { case: "orgId", value: "o" } } });
    const added = await client.addOTPEmail({ userId: "u", email: { address } });
    const [mail] = await test.mails(address);
    const code = codeIn(mail!);
    const replies: unknown[] = [added];
    for (const typed of [wrongCode(code), code, code]) {
      const call = client.verifyOTPEmail({ userId: "u", otpEmailId: added.otpEmailId, code: typed });
      replies.push(
        await call.catch((error) => ({ ...error, message: error.message, details: error.details })),
      );
    }
    replies.push(await client.getUserByID({ userId: "u" }));
    const token = await test.token("admin", { permissions: ["user.write"] });
    const replied = JSON.stringify(replies, (_, value) =>
      typeof value === "bigint" ? value.toString() : value,
    );
    const logged = test.logLines.join("");
    await test.app[Symbol.asyncDispose]();
    const stored = await dumpOf(test.dataDir);
    expect(stored).toContain(address);

    for (const secret of [code, wrongCode(code), code.toLowerCase()]) {
      expect(replied).not.toContain(secret);
      expect(logged).not.toContain(secret);
      expect(stored).not.toContain(secret);
    }
    expect(
      logged.split("\n").filter((line) => line.includes("VerifyOTPEmail")).length,
    ).toBeGreaterThanOrEqual(3);
    for (const secret of [address, "mini", token.split(".")[0]!, "Bearer"])
      expect(logged).not.toContain(secret);
    const key = readFileSync(join(test.dataDir, "code-key"), "utf8").trim();
    for (const place of [replied, logged, stored]) expect(place).not.toContain(key);
  });

  it("returns details that agree with the events", async () => {
    const p = await pending();
    const replies = [];
    await outcomeOf(p.verify(wrongCode(p.code)));
    p.test.clock.move(minute);
    replies.push(await p.client.verifyOTPEmail({ userId: "u", otpEmailId: p.otpEmailId, code: p.code }));
    p.test.clock.move(minute);
    replies.push(await p.client.addOTPEmail({ userId: "u", email: { address: "other@mouse.com" } }));
    const { user } = await p.client.getUserByID({ userId: "u" });
    replies.push({ details: user?.details });

    const events = await p.test.app.store.db
      .selectFrom("events")
      .selectAll()
      .where("user_id", "=", "u")
      .orderBy("sequence")
      .execute();
    expect(events.map((e) => e.sequence)).toEqual(events.map((_, i) => i + 1));
    for (const { details } of replies) {
      const event = events[Number(details?.sequence) - 1];
      expect(Number(details?.changeDate?.seconds) * 1000 + (details?.changeDate?.nanos ?? 0) / 1e6).toBe(
        event?.time,
      );
      expect(details?.resourceOwner).toBe("o");
    }
    expect(replies.at(-1)?.details?.sequence).toBe(BigInt(events.length));
    expect(events.map((e) => e.type)).toEqual([
      "user.created",
      "otp_email.added",
      "otp_email.verify_failed",
      "otp_email.verified",
      "otp_email.added",
    ]);
  });
});
