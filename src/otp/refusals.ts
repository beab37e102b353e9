import { Refusal } from "../lib/refusal.ts";

/** NOT_FOUND, also for an authenticator of another user. */
export function otpEmailNotFound() {
  return new Refusal("OTP_EMAIL_NOT_FOUND", "the user has no such authenticator: check the otp_email_id");
}

/** NOT_FOUND, also for a challenge of another authenticator. */
export function challengeNotFound() {
  return new Refusal(
    "CHALLENGE_NOT_FOUND",
    "the authenticator has no such challenge: check the challenge_id",
  );
}

/** INVALID_ARGUMENT. */
export function codeWrong() {
  return new Refusal("CODE_INVALID", "this is not the code from the mail: check it and try again", {
    field: "code",
  });
}

/** FAILED_PRECONDITION. */
export function challengeEnded() {
  return new Refusal("CHALLENGE_ENDED", "the challenge is over: start a new one");
}

/** RESOURCE_EXHAUSTED until the lock ends and a new code can be requested. */
export function attemptsExhausted(waitMs: number) {
  return new Refusal(
    "ATTEMPTS_EXHAUSTED",
    "too many wrong codes: the authenticator is locked for a while. Wait, then ask for a new code",
    { retryAfterMs: waitMs },
  );
}

/** RESOURCE_EXHAUSTED until a new code can be requested: this one has no attempts left. */
export function codeSpent(waitMs: number) {
  return new Refusal(
    "ATTEMPTS_EXHAUSTED",
    "too many wrong codes: the code is no longer valid. Ask for a new one",
    { retryAfterMs: waitMs },
  );
}

/** FAILED_PRECONDITION, not RESOURCE_EXHAUSTED: clients retry the latter, which can't help here (google.rpc.Code). */
export function tooManyOTPEmails(limit: number) {
  return new Refusal(
    "OTP_EMAIL_LIMIT_REACHED",
    `the user has the maximum of ${limit} authenticators: remove one first`,
  );
}
