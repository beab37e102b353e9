import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  exportJWK,
  generateKeyPair,
  jwtVerify,
} from "jose";
import { describe, expect, it } from "vitest";
import type { Permission } from "../../../src/auth/principal.ts";
import { type Protocol, protocols, shareTestApp, startTestApp, type TestApp } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { proofKey } from "../../support/proof-key.ts";
import { addPending, addVerified, eventTypes, mailsNow, newUser } from "../../support/users.ts";

const audience = "https://app.example.com";
const returnCode = { case: "returnCode", value: {} } as const;

/** Adds a user with a verified address, and returns a client that may challenge it. */
async function startIn(test: TestApp) {
  const admin = await test.admin();
  const { userId, address } = await newUser(test);
  const otpEmailId = await addVerified(admin, userId, address);
  return { test, admin, userId, address, otpEmailId, login: await challenger(test) };
}

async function start(environment: Record<string, string> = {}) {
  return startIn(await startTestApp({ environment }));
}

const app = shareTestApp();
const withLinkHosts = shareTestApp({ environment: { COUNTERSIGN_LINK_HOSTS: "app.example.com" } });

async function challenger(test: TestApp, protocol?: Protocol, permissions: Permission[] = ["otp.challenge"]) {
  return test.challengeClient(await test.token("login", { org: "o", permissions }), protocol);
}

type Started = Awaited<ReturnType<typeof start>>;

async function challenge({ login, userId, otpEmailId }: Pick<Started, "login" | "userId" | "otpEmailId">) {
  const request = { userId, otpEmailId, delivery: returnCode, audience };
  const { challengeId, code = "" } = await login.createOTPEmailChallenge(request);
  return { userId, otpEmailId, challengeId, code };
}

function wrong(code: string, number = 1): string {
  return String((Number(code) + number) % 1_000_000).padStart(6, "0");
}

const codeOf = (text: string) => /^\d{6}$/m.exec(text)?.[0] ?? "";
const reportLinkOf = (text: string) => /^http\S+\/verify\?h=login\S+$/m.exec(text)?.[0] ?? "";

describe.each(protocols)("over %s", (protocol) => {
  it("a mailed code passes a challenge, and the reply has a proof", async () => {
    const { test, admin, userId, address, otpEmailId } = await startIn(app());
    const login = await challenger(test, protocol);
    const created = await login.createOTPEmailChallenge({ userId, otpEmailId, audience, nonce: "n1" });
    expect(created.code).toBeUndefined();
    const [mail] = await test.mails(address);
    const { challengeId } = created;
    const name = { userId, otpEmailId, challengeId };
    const { proof } = await login.verifyOTPEmailChallenge({ ...name, code: codeOf(mail?.text ?? "") });
    expect(decodeJwt(proof)).toEqual({
      iss: test.origin,
      sub: userId,
      aud: audience,
      nonce: "n1",
      amr: ["otp"],
      auth_time: test.clock.now() / 1000,
      iat: test.clock.now() / 1000,
      exp: test.clock.now() / 1000 + 120,
      jti: challengeId,
    });
    const { otpEmail } = await admin.getOTPEmail({ userId, otpEmailId });
    expect(Number(otpEmail?.lastUseTime?.seconds)).toBe(test.clock.now() / 1000);
  });

  it("a challenge can be cancelled once", async () => {
    const started = await startIn(app());
    const login = await challenger(started.test, protocol);
    const { code, ...name } = await challenge(started);
    await login.cancelOTPEmailChallenge(name);
    expect(await outcomeOf(login.cancelOTPEmailChallenge(name))).toBe("CHALLENGE_ENDED");
    expect(await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code }))).toBe("CHALLENGE_ENDED");
  });

  it("calls need otp.challenge or a token of the user itself", async () => {
    const started = await startIn(app());
    const { test, userId, otpEmailId } = started;
    const { code, ...name } = await challenge(started);
    const create = { userId, otpEmailId, audience };
    const outcomes: Record<string, string[]> = {};
    const tokens = {
      "user.write": await test.token("s", { permissions: ["user.write"] }),
      "user.read": await test.token("s", { permissions: ["user.read"] }),
      "no permission": await test.token("s"),
      "another organization": await test.token("s", { org: "p", permissions: ["otp.challenge"] }),
      self: await test.token(userId),
      "otp.challenge": await test.token("s", { org: "o", permissions: ["otp.challenge"] }),
    };
    for (const [caller, token] of Object.entries(tokens)) {
      const client = test.challengeClient(token, protocol);
      outcomes[caller] = [
        await outcomeOf(client.createOTPEmailChallenge({ ...create, delivery: returnCode, audience: "" })),
        await outcomeOf(client.verifyOTPEmailChallenge({ ...name, challengeId: "1", code })),
        await outcomeOf(client.cancelOTPEmailChallenge({ ...name, challengeId: "1" })),
      ];
    }
    const denied = ["REQUEST_INVALID", "PERMISSION_MISSING", "PERMISSION_MISSING"];
    const allowed = ["REQUEST_INVALID", "CHALLENGE_NOT_FOUND", "CHALLENGE_NOT_FOUND"];
    expect(outcomes).toEqual({
      "user.write": denied,
      "user.read": denied,
      "no permission": denied,
      "another organization": ["REQUEST_INVALID", "USER_NOT_FOUND", "USER_NOT_FOUND"],
      self: allowed,
      "otp.challenge": allowed,
    });
    expect(await outcomeOf(test.challengeClient(undefined, protocol).createOTPEmailChallenge(create))).toBe(
      "TOKEN_MISSING",
    );
  });

  it("T48 the user itself gets its code by mail only, with links to allowed hosts only", async () => {
    const { test, userId, otpEmailId } = await startIn(withLinkHosts());
    const self = test.challengeClient(await test.token(userId), protocol);
    const create = (delivery: object) =>
      outcomeOf(self.createOTPEmailChallenge({ userId, otpEmailId, audience, ...delivery }));
    const send = (urlTemplate: string) => ({ delivery: { case: "sendCode", value: { urlTemplate } } });
    expect(await create({ delivery: returnCode })).toBe("PERMISSION_MISSING");
    expect(await create(send("https://evil.example/{{.Code}}"))).toBe("PERMISSION_MISSING");
    expect(await create(send("https://app.example.com/{{.Code}}"))).toBe("OK");
  });
});

describe("a proof", () => {
  async function proofOf(started: Started): Promise<string> {
    const { proof } = await started.login.verifyOTPEmailChallenge(await challenge(started));
    return proof;
  }

  it("can be verified by a relying service with the published keys", async () => {
    const started = await startIn(app());
    const { test, userId } = started;
    const proof = await proofOf(started);
    expect(decodeProtectedHeader(proof)).toMatchObject({ alg: "ES256", typ: "otp-proof+jwt" });
    expect(decodeJwt(proof)).not.toHaveProperty("acr");
    expect(decodeJwt(proof)).not.toHaveProperty("nonce");

    const keys = createRemoteJWKSet(new URL(`${test.origin}/.well-known/jwks.json`));
    const expected = {
      issuer: test.origin,
      audience,
      typ: "otp-proof+jwt",
      algorithms: ["ES256"],
      currentDate: new Date(test.clock.now()),
    };
    const check = (options: object, proven = proof) =>
      jwtVerify(proven, keys, { ...expected, ...options }).then(
        ({ payload }) => payload.sub,
        (error) => error.code,
      );
    expect(await check({})).toBe(userId);
    expect(await check({ currentDate: new Date(test.clock.now() + 119_000) })).toBe(userId);
    expect(await check({ currentDate: new Date(test.clock.now() + 121_000) })).toBe("ERR_JWT_EXPIRED");
    expect(await check({ audience: "https://other.example" })).toBe("ERR_JWT_CLAIM_VALIDATION_FAILED");
    const signature = proof.lastIndexOf(".") + 1;
    const forged = proof.slice(0, signature) + (await proofOf(started)).slice(signature);
    expect(await check({}, forged)).toBe("ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
    const { publicKey } = await generateKeyPair("ES256");
    const foreign = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: "ES256" }] });
    await expect(jwtVerify(proof, foreign, expected)).rejects.toThrow();
  });

  it("is not an access token", async () => {
    const started = await startIn(app());
    const proof = await proofOf(started);
    const { test, userId } = started;
    expect(await outcomeOf(test.client(proof).getUserByID({ userId }))).toBe("TOKEN_INVALID");
  });

  it("has published keys without private parts", async () => {
    const response = await fetch(`${app().origin}/.well-known/jwks.json`);
    const { keys } = (await response.json()) as { keys: object[] };
    expect(keys.map((key) => Object.keys(key).sort())).toEqual([
      ["alg", "crv", "kid", "kty", "use", "x", "y"],
    ]);
  });

  it("is signed by the first key, and can be verified until its key is removed", async () => {
    const [old, next] = [proofKey(), proofKey()];
    const keysOf = (text: string) => ({ COUNTERSIGN_PROOF_KEYS: text });
    const before = await start(keysOf(old + next));
    const { test } = before;
    const oldProof = await proofOf(before);
    const after = await startTestApp({
      dataDir: test.dataDir,
      clock: test.clock,
      environment: { ...keysOf(next + old), COUNTERSIGN_PUBLIC_URL: test.origin },
    });
    const newProof = await proofOf({ ...before, login: await challenger(after) });
    const kidOf = (proof: string) => decodeProtectedHeader(proof).kid;
    expect(kidOf(newProof)).not.toBe(kidOf(oldProof));
    for (const { origin } of [test, after]) {
      const keys = createRemoteJWKSet(new URL(`${origin}/.well-known/jwks.json`));
      for (const proof of [oldProof, newProof]) {
        const { payload } = await jwtVerify(proof, keys, { currentDate: new Date(test.clock.now()) });
        expect(payload.iss).toBe(test.origin);
      }
    }
  });

  it("is limited to the audiences that the operator allows", async () => {
    const { login, userId, otpEmailId } = await start({ COUNTERSIGN_PROOF_AUDIENCES: `${audience}, b` });
    const create = (to: string) =>
      outcomeOf(login.createOTPEmailChallenge({ userId, otpEmailId, delivery: returnCode, audience: to }));
    expect(await create("b")).toBe("OK");
    expect(await create("c")).toBe("AUDIENCE_NOT_ALLOWED");
  });
});

describe("a code", () => {
  it("can be used once, also by 50 concurrent calls", async () => {
    const started = await startIn(app());
    const request = await challenge(started);
    const calls = Array.from({ length: 50 }, () => outcomeOf(started.login.verifyOTPEmailChallenge(request)));
    const outcomes = await Promise.all(calls);
    expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("CODE_USED");
    const types = await eventTypes(app(), started.userId);
    expect(types.filter((type) => type === "challenge.passed")).toHaveLength(1);
  });

  it("T05 has five attempts, also for 50 concurrent calls; then even the right code is refused", async () => {
    const started = await startIn(app());
    const { login } = started;
    const request = await challenge(started);
    const guesses = Array.from({ length: 50 }, (_, i) => ({ ...request, code: wrong(request.code, i + 1) }));
    const outcomes = await Promise.all(
      guesses.map((guess) => outcomeOf(login.verifyOTPEmailChallenge(guess))),
    );
    expect(outcomes.filter((outcome) => outcome === "CODE_INVALID")).toHaveLength(5);
    const refusal = await refusalOf(login.verifyOTPEmailChallenge(request));
    expect(refusal).toMatchObject({ code: "ResourceExhausted", reason: "ATTEMPTS_EXHAUSTED" });
  });

  it("counts an attempt even if the call fails later, with the same error for right and wrong codes", async () => {
    const started = await start();
    const { test, login, otpEmailId } = started;
    const { code, ...name } = await challenge(started);
    await test.app.store.db.schema.alterTable("events").renameTo("no_events").execute();
    for (const typed of [wrong(code), code, wrong(code, 2)])
      expect(await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code: typed }))).toBe("INTERNAL");
    const { db } = test.app.store;
    expect(await db.selectFrom("challenges").select(["state", "attempts"]).execute()).toEqual([
      { state: "pending", attempts: 3 },
    ]);
    const row = db.selectFrom("otp_emails").select("failures").where("otp_email_id", "=", otpEmailId);
    expect(await row.execute()).toEqual([{ failures: 3 }]);
    await db.schema.alterTable("no_events").renameTo("events").execute();
    expect(await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code }))).toBe("OK");
  });

  it("counts for its authenticator, which new challenges do not reset", async () => {
    const started = await start();
    const { login, test } = started;
    for (let round = 0; round < 2; round++) {
      const request = await challenge(started);
      for (let i = 1; i <= 5; i++) {
        const guess = { ...request, code: wrong(request.code, i) };
        expect(await outcomeOf(login.verifyOTPEmailChallenge(guess))).toBe("CODE_INVALID");
      }
    }
    const refusal = await refusalOf(challenge(started));
    expect(refusal).toMatchObject({ reason: "ATTEMPTS_EXHAUSTED", retryAfter: 300 });
    test.clock.move(300_000);
    const { proof } = await login.verifyOTPEmailChallenge(await challenge(started));
    expect(proof).not.toBe("");
  });

  it("has the configured length and lifetime", async () => {
    const started = await start({ COUNTERSIGN_LOGIN_CODE_LENGTH: "8", COUNTERSIGN_LOGIN_CODE_TTL: "2m" });
    const { login, userId, address, otpEmailId, test } = started;
    const { challengeId, expireTime } = await login.createOTPEmailChallenge({
      userId,
      otpEmailId,
      audience,
    });
    expect(Number(expireTime?.seconds)).toBe((test.clock.now() + 120_000) / 1_000);
    const [mail] = await test.mails(address);
    expect(mail?.text).toContain("within 2 minutes");
    const code = /^\d{8}$/m.exec(mail?.text ?? "")?.[0] ?? "";
    const request = { userId, otpEmailId, challengeId, code };
    expect(await outcomeOf(login.verifyOTPEmailChallenge({ ...request, code: code.slice(2) }))).toBe(
      "CODE_INVALID",
    );
    test.clock.move(119_999);
    await login.verifyOTPEmailChallenge(request);
    const next = await challenge(started);
    test.clock.move(120_000);
    expect(await outcomeOf(login.verifyOTPEmailChallenge(next))).toBe("CODE_EXPIRED");
  });

  it.each([
    ["299 s", 299_999, "OK"],
    ["300 s", 300_000, "CODE_EXPIRED"],
    ["301 s", 301_000, "CODE_EXPIRED"],
  ])("T07 after %s is %s", async (_name, age, outcome) => {
    const started = await start();
    const request = await challenge(started);
    started.test.clock.move(age);
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe(outcome);
  });

  it("T07 stays expired when the clock is set back", async () => {
    const started = await start();
    const request = await challenge(started);
    started.test.clock.move(300_000);
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("CODE_EXPIRED");
    started.test.clock.move(-200_000);
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("CODE_EXPIRED");
  });

  it("may be entered with spaces", async () => {
    const started = await startIn(app());
    const { code, ...name } = await challenge(started);
    const typed = `${code.slice(0, 3)} ${code.slice(3)}`;
    await started.login.verifyOTPEmailChallenge({ ...name, code: typed });
  });

  it("for a login is not valid for an enrolment, and vice versa", async () => {
    // With the same format, so that only the derivation distinguishes them.
    const started = await start({ COUNTERSIGN_CODE_ALPHABET: "digits", COUNTERSIGN_CODE_LENGTH: "8" });
    const { test, admin, userId, otpEmailId, login } = started;
    const { db } = test.app.store;
    const pending = await addPending(admin, userId, "b@mouse.com");
    const request = await challenge(started);
    const { code_salt, code_key_id } = await db
      .selectFrom("otp_emails")
      .select(["code_salt", "code_key_id"])
      .where("otp_email_id", "=", pending.otpEmailId)
      .executeTakeFirstOrThrow();
    const { deriveCode } = await import("../../../src/otp/codes/code.ts");
    const { openDevelopmentKey } = await import("../../../src/otp/codes/keys.ts");
    const key = openDevelopmentKey(test.dataDir);
    expect(code_key_id).toBe(key.id);
    const binding = {
      orgId: "o",
      userId,
      otpEmailId: pending.otpEmailId,
      challengeId: "",
      address: "b@mouse.com",
      salt: code_salt ?? new Uint8Array(),
    };
    const format = { alphabet: "digits", length: 8 } as const;
    expect(deriveCode(key.secret, { ...binding, purpose: "enrolment" }, format)).toBe(pending.code);
    const asLogin = deriveCode(key.secret, { ...binding, purpose: "login" }, format);
    const { otpEmailId: pendingId } = pending;
    expect(await outcomeOf(admin.verifyOTPEmail({ userId, otpEmailId: pendingId, code: asLogin }))).toBe(
      "CODE_INVALID",
    );
    const elsewhere = { ...request, otpEmailId: pendingId };
    expect(await outcomeOf(login.verifyOTPEmailChallenge(elsewhere))).toBe("CHALLENGE_NOT_FOUND");
    expect(await outcomeOf(admin.verifyOTPEmail({ userId, otpEmailId, code: "12345678" }))).toBe("CODE_USED");
  });

  it("and the keys of its proof survive a restart", async () => {
    const started = await start();
    const { test, userId } = started;
    const request = await challenge(started);
    const jwks = await (await fetch(`${test.origin}/.well-known/jwks.json`)).json();
    const second = await startTestApp({ dataDir: test.dataDir, clock: test.clock });
    const { proof } = await (await challenger(second)).verifyOTPEmailChallenge(request);
    const { payload } = await jwtVerify(proof, createLocalJWKSet(jwks as never), {
      currentDate: new Date(test.clock.now()),
    });
    expect(payload.sub).toBe(userId);
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("CODE_USED");
  });
});

describe("a challenge", () => {
  it("replaces the previous one, also for 50 concurrent calls", async () => {
    const started = await startIn(app());
    const all = await Promise.all(Array.from({ length: 50 }, () => challenge(started)));
    const outcomes: string[] = [];
    for (const request of all) {
      outcomes.push(await outcomeOf(started.login.verifyOTPEmailChallenge(request)));
    }
    expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "CHALLENGE_ENDED")).toHaveLength(49);
  });

  it("needs a verified address", async () => {
    const { admin, userId, login } = await startIn(app());
    const { otpEmailId } = await addPending(admin, userId, "b@mouse.com");
    expect(await outcomeOf(challenge({ login, userId, otpEmailId }))).toBe("OTP_EMAIL_NOT_VERIFIED");
    expect(await outcomeOf(challenge({ login, userId, otpEmailId: "1" }))).toBe("OTP_EMAIL_NOT_FOUND");
  });

  it("ends when its authenticator is removed", async () => {
    const started = await startIn(app());
    const { admin, userId, otpEmailId, login } = started;
    const request = await challenge(started);
    await admin.removeOTPEmail({ userId, otpEmailId });
    expect(await outcomeOf(login.verifyOTPEmailChallenge(request))).toBe("OTP_EMAIL_NOT_FOUND");
    expect(await outcomeOf(challenge(started))).toBe("OTP_EMAIL_NOT_FOUND");
  });

  it.each([
    ["deactivateUser", "reactivateUser"],
    ["lockUser", "unlockUser"],
  ] as const)("ends by %s, and stays ended after %s", async (away, back) => {
    const started = await startIn(app());
    const { admin, userId, login } = started;
    const request = await challenge(started);
    await admin[away]({ userId });
    expect(await outcomeOf(login.verifyOTPEmailChallenge(request))).toBe("USER_NOT_ACTIVE");
    expect(await outcomeOf(challenge(started))).toBe("USER_NOT_ACTIVE");
    await admin[back]({ userId });
    expect(await outcomeOf(login.verifyOTPEmailChallenge(request))).toBe("CHALLENGE_ENDED");
  });

  it("is deleted with its user", async () => {
    const started = await startIn(app());
    const { userId, otpEmailId } = started;
    const request = await challenge(started);
    await started.admin.deleteUser({ userId });
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("USER_NOT_FOUND");
    const { db } = app().app.store;
    const rows = db.selectFrom("challenges").selectAll().where("otp_email_id", "=", otpEmailId);
    expect(await rows.execute()).toEqual([]);
  });

  it("is the same with the same code for the same Idempotency-Key", async () => {
    const { login, userId, otpEmailId } = await startIn(app());
    const request = { userId, otpEmailId, audience, delivery: returnCode };
    const headers = { "Idempotency-Key": "k" };
    const first = await login.createOTPEmailChallenge(request, { headers });
    const second = await login.createOTPEmailChallenge(request, { headers });
    expect(second.challengeId).toBe(first.challengeId);
    expect(second.code).toBe(first.code);
    const other = login.createOTPEmailChallenge({ ...request, nonce: "n" }, { headers });
    expect(await outcomeOf(other)).toBe("IDEMPOTENCY_KEY_REUSED");
  });

  it("leaves neither its code nor the address in events, logs and tables", async () => {
    const started = await start();
    const { test, address, login } = started;
    const request = await challenge(started);
    await outcomeOf(login.verifyOTPEmailChallenge({ ...request, code: wrong(request.code) }));
    await login.verifyOTPEmailChallenge(request);
    const { db } = test.app.store;
    const events = await db.selectFrom("events").selectAll().execute();
    const challenges = await db.selectFrom("challenges").selectAll().execute();
    expect(events.map(({ type }) => type)).toEqual([
      "user.created",
      "otp_email.added",
      "otp_email.verified",
      "challenge.created",
      "challenge.failed",
      "challenge.passed",
    ]);
    for (const text of [JSON.stringify(events.map(({ data }) => data)), test.logLines.join("")]) {
      expect(text).not.toContain(address);
      expect(text).not.toMatch(new RegExp(`\\b${request.code}\\b`));
    }
    expect(JSON.stringify(challenges)).not.toMatch(new RegExp(`"${request.code}"`));
  });
});

describe("the mail of a challenge", () => {
  it("has a link with all variables, and the code only where it belongs", async () => {
    const test = app();
    const admin = await test.admin();
    const address = "all-variables@mouse.com";
    await admin.createUser({
      userId: "u",
      organization: { org: { case: "orgId", value: "o" } },
      displayName: "Mini & Co",
      preferredLanguage: "de",
    });
    const otpEmailId = await addVerified(admin, "u", address);
    const login = await challenger(test);
    const names = [
      "UserID",
      "OrgID",
      "OTPEmailID",
      "ChallengeID",
      "DisplayName",
      "PreferredLanguage",
      "Code",
    ];
    const urlTemplate = `https://x.io/${names.map((name) => `{{.${name}}}`).join("/")}`;
    const delivery = { case: "sendCode", value: { urlTemplate } } as const;
    const request = { userId: "u", otpEmailId, audience, delivery };
    const { challengeId } = await login.createOTPEmailChallenge(request);
    const [mail] = await test.mails(address);
    const code = codeOf(mail?.text ?? "");
    expect(mail?.text).toContain(`https://x.io/u/o/${otpEmailId}/${challengeId}/Mini%20%26%20Co/de/${code}`);
    expect(mail?.subject).not.toContain(code);
    expect(reportLinkOf(mail?.text ?? "")).not.toContain(code);
  });

  it("has variables that are not allowed for verifying an address", async () => {
    const { admin, userId } = await startIn(app());
    const verification = {
      case: "sendCode",
      value: { urlTemplate: "https://x.io/{{.ChallengeID}}" },
    } as const;
    const added = admin.addOTPEmail({ userId, email: { address: "b@mouse.com", verification } });
    expect(await outcomeOf(added)).toBe("URL_TEMPLATE_INVALID");
  });

  it("counts for the limits of mails", async () => {
    const { login, userId, otpEmailId } = await startIn(app());
    const request = { userId, otpEmailId, audience };
    await login.createOTPEmailChallenge(request);
    expect(await outcomeOf(login.createOTPEmailChallenge(request))).toBe("RESEND_TOO_SOON");
  });

  it("is not sent after the challenge has ended", async () => {
    const { test, login, userId, address, otpEmailId } = await start();
    const { db } = test.app.store;
    const { challengeId } = await login.createOTPEmailChallenge({ userId, otpEmailId, audience });
    await test.mails(address);
    await login.cancelOTPEmailChallenge({ userId, otpEmailId, challengeId });
    const before = (await mailsNow(test, address)).length;
    await db.updateTable("outbox").set({ state: "queued", settle_time: null }).execute();
    for (let i = 0; i < 200; i++) {
      test.clock.move(1_000);
      const { state } = await db.selectFrom("outbox").select("state").executeTakeFirstOrThrow();
      if (state === "dropped") break;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    const [row] = await db.selectFrom("outbox").select(["state", "reason"]).execute();
    expect(row).toEqual({ state: "dropped", reason: "code not alive" });
    expect(await mailsNow(test, address)).toHaveLength(before);
  });
});
