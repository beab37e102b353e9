import {
  type ChallengeClient,
  type Protocol,
  protocols,
  type TestApp,
  type UserClient,
  wrongCode,
} from "../app.ts";
import { addPending, addVerified } from "../users.ts";

/** The clients of a caller with `user.write` and `otp.challenge`. */
export interface Caller {
  readonly users: UserClient;
  readonly challenges: ChallengeClient;
}

/** A code, and what it verifies. */
export interface Issued {
  readonly userId: string;
  readonly otpEmailId: string;
  /** Empty for an enrolment. */
  readonly challengeId: string;
  readonly code: string;
}

interface Name {
  readonly userId: string;
  readonly otpEmailId: string;
}

/** What a code is for, and how to use it. Tests of the advisories run for each purpose. */
export interface Purpose {
  readonly name: "enrolment" | "login";
  /** The event types of a wrong code, of the last wrong one, and of the right one. */
  readonly events: { readonly failed: string; readonly exhausted: string; readonly passed: string };
  /** The lifetime of a code. */
  readonly codeTtlMs: number;
  /** Adds an authenticator that codes can be requested for. */
  prepare(caller: Caller, userId?: string, address?: string): Promise<Name>;
  /** Requests a code that is returned. */
  issue(caller: Caller, name: Name): Promise<Issued>;
  /** Requests a code that is mailed. */
  mail(caller: Caller, name: Name): Promise<unknown>;
  verify(caller: Caller, issued: Issued, code?: string): Promise<unknown>;
  /** Returns another code of the same format. */
  wrong(code: string, number?: number): string;
}

export const audience = "https://app.example.com";
const returnCode = { case: "returnCode", value: {} } as const;

export const enrolment: Purpose = {
  name: "enrolment",
  events: {
    failed: "otp_email.verify_failed",
    exhausted: "otp_email.attempts_exhausted",
    passed: "otp_email.verified",
  },
  codeTtlMs: 600_000,
  async prepare({ users }, userId = "u", address) {
    return { userId, otpEmailId: (await addPending(users, userId, address)).otpEmailId };
  },
  async issue({ users }, name) {
    const { verificationCode = "" } = await users.resendOTPEmailCode({ ...name, verification: returnCode });
    return { ...name, challengeId: "", code: verificationCode };
  },
  mail: ({ users }, name) => users.resendOTPEmailCode(name),
  verify: ({ users }, { userId, otpEmailId, code: right }, code = right) =>
    users.verifyOTPEmail({ userId, otpEmailId, code }),
  wrong: wrongCode,
};

export const login: Purpose = {
  name: "login",
  events: {
    failed: "challenge.failed",
    exhausted: "challenge.attempts_exhausted",
    passed: "challenge.passed",
  },
  codeTtlMs: 300_000,
  async prepare({ users }, userId = "u", address) {
    return { userId, otpEmailId: await addVerified(users, userId, address) };
  },
  async issue({ challenges }, name) {
    const request = { ...name, audience, delivery: returnCode };
    const { challengeId, code = "" } = await challenges.createOTPEmailChallenge(request);
    return { ...name, challengeId, code };
  },
  mail: ({ challenges }, name) => challenges.createOTPEmailChallenge({ ...name, audience }),
  verify: ({ challenges }, issued, code = issued.code) =>
    challenges.verifyOTPEmailChallenge({ ...issued, code }),
  wrong: (code, number = 1) => String((Number(code) + number) % 10 ** code.length).padStart(code.length, "0"),
};

export const purposes = [enrolment, login] as const;

/** Each purpose over each protocol. */
export const everywhere = purposes.flatMap((purpose) => protocols.map((protocol) => ({ purpose, protocol })));

/** Makes a caller with a new token, which is valid for an hour. */
export async function callerOf(test: TestApp, protocol?: Protocol): Promise<Caller> {
  const token = await test.token("admin", { permissions: ["user.write", "otp.challenge"] });
  return { users: test.client(token, protocol), challenges: test.challengeClient(token, protocol) };
}

/** Enters this many wrong codes. */
export async function fail(purpose: Purpose, caller: Caller, issued: Issued, count: number): Promise<void> {
  for (let i = 1; i <= count; i++) {
    await purpose.verify(caller, issued, purpose.wrong(issued.code, i)).catch(() => {});
  }
}
