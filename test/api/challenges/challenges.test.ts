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
import { type Protocol, protocols, startTestApp, type TestApp } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { proofKey } from "../../support/proof-key.ts";
import { addPending, addUser, addVerified, eventTypes, mailsNow } from "../../support/users.ts";

const address = "mini@mouse.com";
const audience = "https://app.example.com";
const returnCode = { case: "returnCode", value: {} } as const;

/** A service with a user that has a verified address, and a client that may challenge it. */
async function start(environment: Record<string, string> = {}, options: { test?: TestApp } = {}) {
  const test = options.test ?? (await startTestApp({ environment }));
  const admin = await test.admin();
  await addUser(admin);
  const otpEmailId = await addVerified(admin);
  return { test, admin, otpEmailId, login: await challenger(test) };
}

async function challenger(test: TestApp, protocol?: Protocol, permissions: Permission[] = ["otp.challenge"]) {
  return test.challengeClient(await test.token("login", { org: "o", permissions }), protocol);
}

type Started = Awaited<ReturnType<typeof start>>;

async function challenge({ login, otpEmailId }: Pick<Started, "login" | "otpEmailId">, more: object = {}) {
  const request = { userId: "u", otpEmailId, delivery: returnCode, audience, ...more };
  const { challengeId, code = "" } = await login.createOTPEmailChallenge(request);
  return { userId: "u", otpEmailId, challengeId, code };
}

function wrong(code: string, number = 1): string {
  return String((Number(code) + number) % 1_000_000).padStart(6, "0");
}

const codeOf = (text: string) => /^\d{6}$/m.exec(text)?.[0] ?? "";
const reportLinkOf = (text: string) => /^http\S+\/verify\?h=login\S+$/m.exec(text)?.[0] ?? "";

describe.each(protocols)("over %s", (protocol) => {
  it("a mailed code passes a challenge, and the reply has a proof", async () => {
    const { test, admin, otpEmailId } = await start();
    const login = await challenger(test, protocol);
    const created = await login.createOTPEmailChallenge({ userId: "u", otpEmailId, audience, nonce: "n1" });
    expect(created.code).toBeUndefined();
    const [mail] = await test.mails(address);
    const { challengeId } = created;
    const name = { userId: "u", otpEmailId, challengeId };
    const { proof } = await login.verifyOTPEmailChallenge({ ...name, code: codeOf(mail?.text ?? "") });
    expect(decodeJwt(proof)).toEqual({
      iss: test.origin,
      sub: "u",
      aud: audience,
      nonce: "n1",
      amr: ["otp"],
      auth_time: test.clock.now() / 1000,
      iat: test.clock.now() / 1000,
      exp: test.clock.now() / 1000 + 120,
      jti: challengeId,
    });
    const { otpEmail } = await admin.getOTPEmail({ userId: "u", otpEmailId });
    expect(Number(otpEmail?.lastUseTime?.seconds)).toBe(test.clock.now() / 1000);
  });

  it("a challenge is cancelled once", async () => {
    const started = await start();
    const login = await challenger(started.test, protocol);
    const { code, ...name } = await challenge(started);
    await login.cancelOTPEmailChallenge(name);
    expect(await outcomeOf(login.cancelOTPEmailChallenge(name))).toBe("CHALLENGE_ENDED");
    expect(await outcomeOf(login.verifyOTPEmailChallenge({ ...name, code }))).toBe("CHALLENGE_ENDED");
  });

  it("who may do what", async () => {
    const { test, otpEmailId, login } = await start();
    const { code, ...name } = await challenge({ login, otpEmailId });
    const create = { userId: "u", otpEmailId, audience };
    const outcomes: Record<string, string[]> = {};
    const tokens = {
      "user.write": await test.token("s", { permissions: ["user.write"] }),
      "user.read": await test.token("s", { permissions: ["user.read"] }),
      nobody: await test.token("s"),
      elsewhere: await test.token("s", { org: "p", permissions: ["otp.challenge"] }),
      self: await test.token("u"),
      "otp.challenge": await test.token("s", { org: "o", permissions: ["otp.challenge"] }),
    };
    for (const [who, token] of Object.entries(tokens)) {
      const client = test.challengeClient(token, protocol);
      outcomes[who] = [
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
      nobody: denied,
      elsewhere: ["REQUEST_INVALID", "USER_NOT_FOUND", "USER_NOT_FOUND"],
      self: allowed,
      "otp.challenge": allowed,
    });
    expect(await outcomeOf(test.challengeClient(undefined, protocol).createOTPEmailChallenge(create))).toBe(
      "TOKEN_MISSING",
    );
  });

  it("T48 the user itself steps up by mail alone, with links to allowed hosts alone", async () => {
    const { test, otpEmailId } = await start({ COUNTERSIGN_LINK_HOSTS: "app.example.com" });
    const self = test.challengeClient(await test.token("u"), protocol);
    const create = (delivery: object) =>
      outcomeOf(self.createOTPEmailChallenge({ userId: "u", otpEmailId, audience, ...delivery }));
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

  it("is checked by a relying service with the served keys alone", async () => {
    const started = await start();
    const { test } = started;
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
    expect(await check({})).toBe("u");
    expect(await check({ currentDate: new Date(test.clock.now() + 119_000) })).toBe("u");
    expect(await check({ currentDate: new Date(test.clock.now() + 121_000) })).toBe("ERR_JWT_EXPIRED");
    expect(await check({ audience: "https://other.example" })).toBe("ERR_JWT_CLAIM_VALIDATION_FAILED");
    const signature = proof.lastIndexOf(".") + 1;
    const forged = proof.slice(0, signature) + (await proofOf(started)).slice(signature);
    expect(await check({}, forged)).toBe("ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
    const { publicKey } = await generateKeyPair("ES256");
    const foreign = createLocalJWKSet({ keys: [{ ...(await exportJWK(publicKey)), alg: "ES256" }] });
    await expect(jwtVerify(proof, foreign, expected)).rejects.toThrow();
  });

  it("opens nothing here: it is no access token", async () => {
    const started = await start();
    const proof = await proofOf(started);
    expect(await outcomeOf(started.test.client(proof).getUserByID({ userId: "u" }))).toBe("TOKEN_INVALID");
  });

  it("is served the public halves of the keys and nothing else", async () => {
    const { test } = await start();
    const response = await fetch(`${test.origin}/.well-known/jwks.json`);
    const { keys } = (await response.json()) as { keys: object[] };
    expect(keys.map((key) => Object.keys(key).sort())).toEqual([
      ["alg", "crv", "kid", "kty", "use", "x", "y"],
    ]);
  });

  it("is signed by the first key, and all keys are published: one that was replaced checks until it is removed", async () => {
    const [old, next] = [proofKey(), proofKey()];
    const keysOf = (text: string) => ({ COUNTERSIGN_PROOF_KEYS: text });
    const before = await start(keysOf(old + next));
    const { test, otpEmailId } = before;
    const oldProof = await proofOf(before);
    const after = await startTestApp({
      dataDir: test.dataDir,
      clock: test.clock,
      environment: { ...keysOf(next + old), COUNTERSIGN_PUBLIC_URL: test.origin },
    });
    const newProof = await proofOf({ ...before, login: await challenger(after), otpEmailId });
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

  it("is for audiences that the operator allows", async () => {
    const { login, otpEmailId } = await start({ COUNTERSIGN_PROOF_AUDIENCES: `${audience}, b` });
    const create = (to: string) =>
      outcomeOf(
        login.createOTPEmailChallenge({ userId: "u", otpEmailId, delivery: returnCode, audience: to }),
      );
    expect(await create("b")).toBe("OK");
    expect(await create("c")).toBe("AUDIENCE_NOT_ALLOWED");
  });
});

describe("a code", () => {
  it("is used once, also by 50 at once", async () => {
    const started = await start();
    const request = await challenge(started);
    const calls = Array.from({ length: 50 }, () => outcomeOf(started.login.verifyOTPEmailChallenge(request)));
    const outcomes = await Promise.all(calls);
    expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("CODE_USED");
    expect((await eventTypes(started.test)).filter((type) => type === "challenge.passed")).toHaveLength(1);
  });

  it("T05 has five attempts: the sixth is refused even with the right code, and 50 at once are no more", async () => {
    const started = await start();
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

  it("counts an attempt whatever fails behind it, and right and wrong codes fail alike", async () => {
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

  it("counts for its authenticator, which new challenges do not refill", async () => {
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

  it("has as many digits, and lives for as long, as the operator says", async () => {
    const started = await start({ COUNTERSIGN_LOGIN_CODE_LENGTH: "8", COUNTERSIGN_LOGIN_CODE_TTL: "2m" });
    const { login, otpEmailId, test } = started;
    const { challengeId, expireTime } = await login.createOTPEmailChallenge({
      userId: "u",
      otpEmailId,
      audience,
    });
    expect(Number(expireTime?.seconds)).toBe((test.clock.now() + 120_000) / 1_000);
    const [mail] = await test.mails(address);
    expect(mail?.text).toContain("within 2 minutes");
    const code = /^\d{8}$/m.exec(mail?.text ?? "")?.[0] ?? "";
    const request = { userId: "u", otpEmailId, challengeId, code };
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
  ])("T07 after %s", async (_name, age, outcome) => {
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

  it("is typed with spaces too", async () => {
    const started = await start();
    const { code, ...name } = await challenge(started);
    const typed = `${code.slice(0, 3)} ${code.slice(3)}`;
    await started.login.verifyOTPEmailChallenge({ ...name, code: typed });
  });

  it("of a login is none of an enrolment, and the reverse", async () => {
    // The same form for both, so that only what they are derived from keeps them apart.
    const { test, admin, otpEmailId, login } = await start({
      COUNTERSIGN_CODE_ALPHABET: "digits",
      COUNTERSIGN_CODE_LENGTH: "8",
    });
    const { db } = test.app.store;
    const pending = await addPending(admin, "u", "b@mouse.com");
    const request = await challenge({ login, otpEmailId });
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
      userId: "u",
      otpEmailId: pending.otpEmailId,
      challengeId: "",
      address: "b@mouse.com",
      salt: code_salt ?? new Uint8Array(),
    };
    const format = { alphabet: "digits", length: 8 } as const;
    expect(deriveCode(key.secret, { ...binding, purpose: "enrolment" }, format)).toBe(pending.code);
    const asLogin = deriveCode(key.secret, { ...binding, purpose: "login" }, format);
    const { otpEmailId: pendingId } = pending;
    expect(await outcomeOf(admin.verifyOTPEmail({ userId: "u", otpEmailId: pendingId, code: asLogin }))).toBe(
      "CODE_INVALID",
    );
    const elsewhere = { ...request, otpEmailId: pendingId };
    expect(await outcomeOf(login.verifyOTPEmailChallenge(elsewhere))).toBe("CHALLENGE_NOT_FOUND");
    expect(await outcomeOf(admin.verifyOTPEmail({ userId: "u", otpEmailId, code: "12345678" }))).toBe(
      "CODE_USED",
    );
  });

  it("and its proof survive a restart", async () => {
    const started = await start();
    const { test } = started;
    const request = await challenge(started);
    const jwks = await (await fetch(`${test.origin}/.well-known/jwks.json`)).json();
    const second = await startTestApp({ dataDir: test.dataDir, clock: test.clock });
    const { proof } = await (await challenger(second)).verifyOTPEmailChallenge(request);
    const { payload } = await jwtVerify(proof, createLocalJWKSet(jwks as never), {
      currentDate: new Date(test.clock.now()),
    });
    expect(payload.sub).toBe("u");
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("CODE_USED");
  });
});

describe("a challenge", () => {
  it("is one at a time: of 50 at once one is left", async () => {
    const started = await start();
    const all = await Promise.all(Array.from({ length: 50 }, () => challenge(started)));
    const outcomes: string[] = [];
    for (const request of all) {
      outcomes.push(await outcomeOf(started.login.verifyOTPEmailChallenge(request)));
    }
    expect(outcomes.filter((outcome) => outcome === "OK")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "CHALLENGE_ENDED")).toHaveLength(49);
  });

  it("is of verified addresses alone", async () => {
    const { admin, login } = await start();
    const { otpEmailId } = await addPending(admin, "u", "b@mouse.com");
    expect(await outcomeOf(challenge({ login, otpEmailId }))).toBe("OTP_EMAIL_NOT_VERIFIED");
    expect(await outcomeOf(challenge({ login, otpEmailId: "1" }))).toBe("OTP_EMAIL_NOT_FOUND");
  });

  it("ends with its authenticator", async () => {
    const started = await start();
    const { admin, otpEmailId, login } = started;
    const request = await challenge(started);
    await admin.removeOTPEmail({ userId: "u", otpEmailId });
    expect(await outcomeOf(login.verifyOTPEmailChallenge(request))).toBe("OTP_EMAIL_NOT_FOUND");
    expect(await outcomeOf(challenge(started))).toBe("OTP_EMAIL_NOT_FOUND");
  });

  it.each([
    ["deactivateUser", "reactivateUser"],
    ["lockUser", "unlockUser"],
  ] as const)("ends by %s, and does not come back", async (away, back) => {
    const started = await start();
    const { admin, login } = started;
    const request = await challenge(started);
    await admin[away]({ userId: "u" });
    expect(await outcomeOf(login.verifyOTPEmailChallenge(request))).toBe("USER_NOT_ACTIVE");
    expect(await outcomeOf(challenge(started))).toBe("USER_NOT_ACTIVE");
    await admin[back]({ userId: "u" });
    expect(await outcomeOf(login.verifyOTPEmailChallenge(request))).toBe("CHALLENGE_ENDED");
  });

  it("ends with its user", async () => {
    const started = await start();
    const request = await challenge(started);
    await started.admin.deleteUser({ userId: "u" });
    expect(await outcomeOf(started.login.verifyOTPEmailChallenge(request))).toBe("USER_NOT_FOUND");
    expect(await started.test.app.store.db.selectFrom("challenges").selectAll().execute()).toEqual([]);
  });

  it("is the same one for the same Idempotency-Key, with the same code", async () => {
    const { login, otpEmailId } = await start();
    const request = { userId: "u", otpEmailId, audience, delivery: returnCode };
    const headers = { "Idempotency-Key": "k" };
    const first = await login.createOTPEmailChallenge(request, { headers });
    const second = await login.createOTPEmailChallenge(request, { headers });
    expect(second.challengeId).toBe(first.challengeId);
    expect(second.code).toBe(first.code);
    const other = login.createOTPEmailChallenge({ ...request, nonce: "n" }, { headers });
    expect(await outcomeOf(other)).toBe("IDEMPOTENCY_KEY_REUSED");
  });

  it("leaves no code and no address in events, logs and tables", async () => {
    const started = await start();
    const { test, login } = started;
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
  it("has a link with all variables, and the code nowhere but where it belongs", async () => {
    const test = await startTestApp();
    const admin = await test.admin();
    await admin.createUser({
      userId: "u",
      organization: { org: { case: "orgId", value: "o" } },
      displayName: "Mini & Co",
      preferredLanguage: "de",
    });
    const otpEmailId = await addVerified(admin);
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

  it("may not have the variables of a challenge where an address is verified", async () => {
    const { admin } = await start();
    const verification = {
      case: "sendCode",
      value: { urlTemplate: "https://x.io/{{.ChallengeID}}" },
    } as const;
    const added = admin.addOTPEmail({ userId: "u", email: { address: "b@mouse.com", verification } });
    expect(await outcomeOf(added)).toBe("URL_TEMPLATE_INVALID");
  });

  it("counts towards the limits on mails", async () => {
    const { login, otpEmailId } = await start();
    const request = { userId: "u", otpEmailId, audience };
    await login.createOTPEmailChallenge(request);
    expect(await outcomeOf(login.createOTPEmailChallenge(request))).toBe("RESEND_TOO_SOON");
  });

  it("a mail whose challenge is over is not sent", async () => {
    const { test, login, otpEmailId } = await start();
    const { db } = test.app.store;
    const { challengeId } = await login.createOTPEmailChallenge({ userId: "u", otpEmailId, audience });
    await test.mails(address);
    await login.cancelOTPEmailChallenge({ userId: "u", otpEmailId, challengeId });
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
