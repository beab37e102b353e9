import { Refusal } from "../lib/refusal.ts";

/** NOT_FOUND: also for an authenticator of another user. */
export function otpEmailNotFound() {
  return new Refusal("OTP_EMAIL_NOT_FOUND", "the user has no such authenticator: check the otp_email_id");
}

/** NOT_FOUND: also for a challenge of another authenticator. */
export function challengeNotFound() {
  return new Refusal(
    "CHALLENGE_NOT_FOUND",
    "the authenticator has no such challenge: check the challenge_id",
  );
}

/** INVALID_ARGUMENT: another code than that of the mail. */
export function codeWrong() {
  return new Refusal("CODE_INVALID", "this is not the code of the mail: check it and try again", {
    field: "code",
  });
}

/** FAILED_PRECONDITION: it waits no more, and its code is dead. */
export function challengeEnded() {
  return new Refusal("CHALLENGE_ENDED", "the challenge is over: begin a new one");
}

/** RESOURCE_EXHAUSTED until the lock of the authenticator has ended, and another code can be asked for. */
export function attemptsExhausted(waitMs: number) {
  return new Refusal(
    "ATTEMPTS_EXHAUSTED",
    "too many wrong codes: the authenticator is locked for a while. Wait, then ask for a new code",
    { retryAfterMs: waitMs },
  );
}

/** RESOURCE_EXHAUSTED until another code can be asked for: this one had too many wrong attempts, and is dead. */
export function codeSpent(mailInMs: number) {
  return new Refusal(
    "ATTEMPTS_EXHAUSTED",
    "too many wrong codes: the code is no longer valid. Ask for a new one",
    { retryAfterMs: mailInMs },
  );
}

/**
 * FAILED_PRECONDITION rather than RESOURCE_EXHAUSTED, of which clients know that they may wait and try again: no waiting
 * helps here (google.rpc.Code).
 */
export function tooManyOTPEmails(limit: number) {
  return new Refusal(
    "OTP_EMAIL_LIMIT_REACHED",
    `the user has ${limit} authenticators, which is the most there may be: remove one first`,
  );
}
