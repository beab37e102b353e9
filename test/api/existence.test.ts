import { describe, expect, it } from "vitest";
import type { Permission } from "../../src/auth/principal.ts";
import { startTestApp, type TestApp } from "../support/app.ts";
import { callerOf, login } from "../support/otp/purposes.ts";
import { rounds } from "../support/soak.ts";
import { addPending, addUser, addVerified } from "../support/users.ts";

interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly durationMs: number;
}

/** Calls over REST and keeps all that a stranger can see of the answer. */
async function ask(test: TestApp, token: string, path: string, body?: object): Promise<Answer> {
  const start = performance.now();
  const reply = await fetch(`${test.origin}/v3alpha/users/${path}`, {
    method: body ? "POST" : "GET",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: body ? JSON.stringify(body) : null,
  });
  const text = await reply.text();
  const durationMs = performance.now() - start;
  const headers = [...reply.headers].filter(([name]) => name !== "date");
  return { status: reply.status, headers, body: text, durationMs };
}

const seen = ({ status, headers, body }: Answer) => JSON.stringify({ status, headers, body });

/** The calls of both sides in random order, after some to warm up: to come second has a time of its own. */
async function interleave(known: () => Promise<Answer>, unknown: () => Promise<Answer>, count: number) {
  const answers: [Answer[], Answer[]] = [[], []];
  for (let i = -rounds(0, 100); i < count; i++) {
    const knownFirst = Math.random() < 0.5;
    const first = await (knownFirst ? known() : unknown());
    const second = await (knownFirst ? unknown() : known());
    if (i < 0) continue;
    answers[knownFirst ? 0 : 1].push(first);
    answers[knownFirst ? 1 : 0].push(second);
  }
  return answers;
}

/** The two-sided p of the Mann-Whitney U test, by the normal approximation: many values, hardly any ties. */
function mannWhitney(a: readonly number[], b: readonly number[]): number {
  const all = [...a.map((value) => ({ value, of: a })), ...b.map((value) => ({ value, of: b }))];
  all.sort((x, y) => x.value - y.value);
  const rankSum = all.reduce((sum, { of }, i) => sum + (of === a ? i + 1 : 0), 0);
  const u = rankSum - (a.length * (a.length + 1)) / 2;
  const mean = (a.length * b.length) / 2;
  const deviation = Math.sqrt((a.length * b.length * (a.length + b.length + 1)) / 12);
  const z = Math.abs(u - mean) / deviation;
  // Abramowitz and Stegun 7.1.26, to 1.5e-7.
  const t = 1 / (1 + (0.3275911 * z) / Math.SQRT2);
  const tail =
    t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  return tail * Math.exp((-z * z) / 2);
}

function median(values: readonly number[]): number {
  return [...values].sort((x, y) => x - y)[values.length >> 1] ?? Number.NaN;
}

/** What a stranger can ask, of a user that is there and of one that is not. */
const questions: [string, (test: TestApp, token: string, userId: string) => Promise<Answer>][] = [
  ["GetUserByID", (test, token, userId) => ask(test, token, userId)],
  ["ListOTPEmails", (test, token, userId) => ask(test, token, `${userId}/otp_email`)],
  [
    "AddOTPEmail",
    (test, token, userId) =>
      ask(test, token, `${userId}/otp_email`, { email: { address: "mini@mouse.com" } }),
  ],
  [
    "VerifyOTPEmail",
    (test, token, userId) =>
      ask(test, token, `${userId}/otp_email/1574939481964544000/verify`, { code: "7QZ4M2KX" }),
  ],
  [
    "CreateOTPEmailChallenge",
    (test, token, userId) =>
      ask(test, token, `${userId}/otp_email/1574939481964544000/challenges`, { audience: "a" }),
  ],
  [
    "VerifyOTPEmailChallenge",
    (test, token, userId) =>
      ask(test, token, `${userId}/otp_email/1574939481964544000/challenges/1574939481964544000/verify`, {
        code: "123456",
      }),
  ],
  ["LockUser", (test, token, userId) => ask(test, token, `${userId}/lock`, {})],
];

describe("T17 who exists", () => {
  it.each(questions)(
    "is not told by the answer to %s of a stranger, nor by its time",
    { timeout: 600_000, retry: rounds(0, 2) },
    async (name, question) => {
      const test = await startTestApp();
      const admin = await test.admin();
      await addUser(admin, "known-1");
      await addVerified(admin, "known-1");
      const stranger = await test.token("stranger");
      const permissions: Permission[] = ["user.write", "otp.challenge"];
      const elsewhere = await test.token("stranger", { org: "elsewhere", permissions });
      for (const [token, status] of [
        [stranger, 403],
        [elsewhere, 404],
      ] as const) {
        const [known, unknown] = await interleave(
          () => question(test, token, "known-1"),
          () => question(test, token, "unknown"),
          rounds(20, 1_000),
        );
        expect(new Set([...known, ...unknown].map(seen)).size).toBe(1);
        expect(known[0]?.status).toBe(status);
        // Time is looked at where there is enough of it: `npm run soak`.
        if (known.length < 1_000) continue;
        const times = [known, unknown].map((answers) => answers.map((answer) => answer.durationMs)) as [
          number[],
          number[],
        ];
        const medians = times.map((values) => `${median(values).toFixed(3)} ms`).join(" and ");
        console.log(`T17 ${name}, ${status}: ${medians}, p ${mannWhitney(...times).toPrecision(2)}`);
        expect(Math.abs(median(times[0]) - median(times[1]))).toBeLessThan(1);
        expect(mannWhitney(...times)).toBeGreaterThan(0.01);
      }
      expect(await test.app.store.db.selectFrom("outbox").selectAll().execute()).toEqual([]);
    },
  );

  it("is not told by adding an address that another user has", async () => {
    const test = await startTestApp();
    const admin = await test.admin();
    for (const userId of ["u", "v"]) await addUser(admin, userId);
    await addVerified(admin, "v", "known@mouse.com");
    await addPending(admin, "v", "pending@mouse.com");
    const token = await test.token("u");
    const add = (address: string) => ask(test, token, "u/otp_email", { email: { address } });
    const shapes = [];
    for (const name of ["known", "pending", "nobody"]) {
      const answer = await add(`${name}@mouse.com`);
      shapes.push(seen(answer).replaceAll(/\d+/g, "0"));
    }
    expect(new Set(shapes).size).toBe(1);
  });

  it("is not told of an authenticator: one of another user is answered as one that is not there", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test);
    for (const userId of ["u", "v"]) await addUser(caller.users, userId);
    const name = await login.prepare(caller);
    await login.issue(caller, name);
    const token = await test.token("service", { permissions: ["otp.challenge"] });
    const verify = (id: string, challengeId: string, userId = "u") =>
      ask(test, token, `${userId}/otp_email/${id}/challenges/${challengeId}/verify`, { code: "000000" });
    const strange = "1574939481964544000";
    const answers = [
      await verify(strange, strange),
      await verify(name.otpEmailId, strange, "v"),
      await verify(strange, strange, "v"),
    ];
    expect(new Set(answers.map(seen)).size).toBe(1);
    expect(answers[0]?.status).toBe(404);
  });
});
