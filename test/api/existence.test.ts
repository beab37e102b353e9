import { describe, expect, it } from "vitest";
import type { Permission } from "../../src/auth/principal.ts";
import { shareTestApp, startTestApp, type TestApp } from "../support/app.ts";
import { callerOf, login } from "../support/otp/purposes.ts";
import { rounds } from "../support/soak.ts";
import { addPending, addUser, addVerified } from "../support/users.ts";

interface Answer {
  readonly status: number;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly durationMs: number;
}

/** Calls over REST and returns everything that the client can observe. */
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

const shown = ({ status, headers, body }: Answer) => JSON.stringify({ status, headers, body });

/** Runs both calls in random order, because the order affects the time, and after a warm-up. */
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

/** The two-sided p-value of the Mann-Whitney U test. Normal approximation, for many values with few ties. */
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

/** Calls for a user that may or may not exist. */
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

describe("T17 whether a user exists", () => {
  const app = shareTestApp({
    async setUp(test) {
      const admin = await test.admin();
      await addUser(admin, "known-1");
      await addVerified(admin, "known-1");
    },
  });

  it.each(questions)(
    "is revealed neither by the reply of %s nor by its time",
    { timeout: 600_000, retry: rounds(0, 2) },
    async (name, question) => {
      const test = app();
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
        expect(new Set([...known, ...unknown].map(shown)).size).toBe(1);
        expect(known[0]?.status).toBe(status);
        // Comparing the times needs the many calls of `npm run soak`.
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

  it("is not revealed by adding an address of another user", async () => {
    const test = await startTestApp();
    const admin = await test.admin();
    for (const userId of ["u", "v"]) await addUser(admin, userId);
    await addVerified(admin, "v", "known@mouse.com");
    await addPending(admin, "v", "pending@mouse.com");
    const token = await test.token("u");
    const add = (address: string) => ask(test, token, "u/otp_email", { email: { address } });
    const shapes = [];
    for (const name of ["known", "pending", "unknown"]) {
      const answer = await add(`${name}@mouse.com`);
      shapes.push(shown(answer).replaceAll(/\d+/g, "0"));
    }
    expect(new Set(shapes).size).toBe(1);
  });

  it("is not revealed for authenticators: another user's gets the same reply as an absent one", async () => {
    const test = await startTestApp();
    const caller = await callerOf(test);
    for (const userId of ["u", "v"]) await addUser(caller.users, userId);
    const name = await login.prepare(caller);
    await login.issue(caller, name);
    const token = await test.token("service", { permissions: ["otp.challenge"] });
    const verify = (id: string, challengeId: string, userId = "u") =>
      ask(test, token, `${userId}/otp_email/${id}/challenges/${challengeId}/verify`, { code: "000000" });
    const unknown = "1574939481964544000";
    const answers = [
      await verify(unknown, unknown),
      await verify(name.otpEmailId, unknown, "v"),
      await verify(unknown, unknown, "v"),
    ];
    expect(new Set(answers.map(shown)).size).toBe(1);
    expect(answers[0]?.status).toBe(404);
  });
});
