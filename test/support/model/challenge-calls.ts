import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CancelOTPEmailChallengeRequest,
  ChallengeState,
  type CreateOTPEmailChallengeRequest,
  type CreateOTPEmailChallengeResponse,
  type GetOTPEmailChallengeRequest,
  type VerifyOTPEmailChallengeRequest,
} from "../../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { authenticate, authorize, type Caller, requireActive } from "./access.ts";
import { attemptsLeft, fail, isLocked, mailWait, requireMail, requireUnlocked } from "./limits.ts";
import { challengeMail, enqueueCode, isAlive, isOver } from "./mails.ts";
import {
  checkTemplate,
  clearFailures,
  forbidBypassingMail,
  invalid,
  requireOTPEmail,
  snakeCase,
} from "./otp-email-calls.ts";
import { addEvent, freshId, idempotent, type KeyUse, showMail } from "./user-calls.ts";
import {
  type Challenge,
  day,
  isOpen,
  minute,
  type OTPEmail,
  Refused,
  second,
  settings,
  type World,
} from "./world.ts";

const challenger = { anyOf: ["otp.challenge"], self: true } as const;

export function createOTPEmailChallenge(
  world: World,
  caller: Caller,
  request: CreateOTPEmailChallengeRequest,
  made: CreateOTPEmailChallengeResponse | undefined,
  key: KeyUse | undefined,
) {
  authenticate(caller);
  const { userId, otpEmailId, audience, nonce } = request;
  const delivery = request.delivery.case ?? "sendCode";
  const urlTemplate =
    request.delivery.case === "sendCode" ? checkTemplate(request.delivery.value) : undefined;
  if (!settings.audiences.includes(audience)) throw invalid("AUDIENCE_NOT_ALLOWED");
  const checkSelf = () => forbidBypassingMail(delivery, urlTemplate);
  const { user } = authorize(world, caller, userId, { ...challenger, checkSelf });

  const { challengeId, ...reply } = idempotent(world, caller, key, () => {
    requireActive(user);
    const otpEmail = requireOTPEmail(user, otpEmailId);
    if (otpEmail.verifyTime === undefined) throw new Refused("FailedPrecondition", "OTP_EMAIL_NOT_VERIFIED");
    requireUnlocked(world, user, otpEmail.address, otpEmail.failures, delivery, otpEmail.verifyTime);
    if (delivery === "sendCode") requireMail(world, user, otpEmail.address, otpEmail.verifyTime);
    // "An authenticator has one open challenge at a time: a new one replaces it."
    for (const challenge of otpEmail.challenges) if (isOpen(challenge)) challenge.state = "replaced";
    const challenge: Challenge = {
      challengeId: freshId(world, made?.challengeId),
      code: { value: made?.code, expireTime: world.now + settings.loginTtl },
      audience,
      nonce,
      createTime: world.now,
      forgetTime: world.now + day,
      state: "pending",
      attempts: 0,
      settled: undefined,
    };
    otpEmail.challenges.push(challenge);
    const { challengeId, code } = challenge;
    const data = {
      otp_email_id: otpEmailId,
      challenge_id: challengeId,
      delivery: snakeCase(delivery),
      audience,
    };
    const details = addEvent(world, user, caller, "challenge.created", data);
    if (delivery === "sendCode") enqueueCode(world, user, otpEmail, { purpose: "login", code, urlTemplate });
    return { challengeId, details, expireTime: timestampFromMs(code.expireTime) };
  });
  const otpEmail = user.otpEmails.find((other) => other.otpEmailId === otpEmailId);
  const challenge = otpEmail?.challenges.find((other) => other.challengeId === challengeId);
  const isShown =
    delivery === "returnCode" &&
    challenge?.state === "pending" &&
    isAlive(challenge.code, challenge.attempts, world.now);
  return { challengeId, ...reply, code: isShown ? (challenge.code.value ?? "(a code)") : undefined };
}

/** The claims of a proof. Times are seconds. */
export interface Proof {
  readonly iss: string;
  readonly sub: string;
  readonly aud: string;
  readonly nonce: string | undefined;
  readonly amr: readonly string[];
  readonly jti: string;
  readonly auth_time: number;
  readonly exp: number;
}

export function verifyOTPEmailChallenge(
  world: World,
  caller: Caller,
  request: VerifyOTPEmailChallengeRequest,
) {
  authenticate(caller);
  const code = request.code.replace(/[ -]/g, "");
  if (!/^[0-9]{6}$/.test(code)) throw invalid("CODE_INVALID");
  const { user } = authorize(world, caller, request.userId, challenger);
  requireActive(user);
  const { otpEmail, challenge } = requireChallenge(request, user.otpEmails);
  const { challengeId, audience, nonce } = challenge;
  const { failures } = otpEmail;
  if (challenge.state === "passed") throw new Refused("FailedPrecondition", "CODE_USED");
  if (challenge.state === "replaced" || challenge.state === "cancelled") throw ended();
  if (challenge.state === "expired") throw expired();
  requireUnlocked(world, user, otpEmail.address, failures, "sendCode", otpEmail.verifyTime);
  if (challenge.state === "failed")
    throw new Refused(
      "ResourceExhausted",
      "ATTEMPTS_EXHAUSTED",
      mailWait(world, user, otpEmail.address, otpEmail.verifyTime)?.ms ?? 0,
    );
  if (isOver(challenge.code, world.now)) {
    challenge.state = "expired";
    throw expired();
  }

  const names = { otp_email_id: otpEmail.otpEmailId, challenge_id: challengeId };
  if (code !== challenge.code.value) {
    challenge.attempts++;
    fail(failures, world.now);
    const data = { ...names, attempts: challenge.attempts };
    addEvent(world, user, caller, "challenge.failed", data);
    if (isLocked(failures, world.now) || challenge.attempts >= settings.attemptsMax) {
      challenge.state = "failed";
      addEvent(world, user, caller, "challenge.attempts_exhausted", data);
    }
    throw invalid("CODE_INVALID");
  }
  challenge.state = "passed";
  otpEmail.lastUseTime = world.now;
  clearFailures(otpEmail);
  const time = Math.floor(world.now / second);
  const proof: Proof = {
    iss: settings.publicUrl,
    sub: user.userId,
    aud: audience,
    nonce,
    amr: ["otp"],
    jti: challengeId,
    auth_time: time,
    exp: time + (2 * minute) / second,
  };
  const details = addEvent(world, user, caller, "challenge.passed", { ...names, audience });
  return { details, proof: JSON.stringify(proof) };
}

export function getOTPEmailChallenge(world: World, caller: Caller, request: GetOTPEmailChallengeRequest) {
  authenticate(caller);
  const { user } = authorize(world, caller, request.userId, challenger);
  const { otpEmail, challenge } = requireChallenge(request, user.otpEmails);
  const { challengeId, createTime, code, attempts } = challenge;
  const isExpired = challenge.state === "pending" && isOver(code, world.now);
  const state = isExpired ? "expired" : challenge.state;
  const mail = challengeMail(world, challenge);
  return {
    challenge: {
      challengeId,
      state: challengeStates[state],
      createTime: timestampFromMs(createTime),
      expireTime: timestampFromMs(code.expireTime),
      failedAttemptsLeft: state === "pending" ? attemptsLeft(otpEmail.failures, attempts, world.now) : 0,
      mail: mail && showMail(mail),
    },
  };
}

const challengeStates = {
  pending: ChallengeState.PENDING,
  passed: ChallengeState.PASSED,
  failed: ChallengeState.FAILED,
  replaced: ChallengeState.REPLACED,
  cancelled: ChallengeState.CANCELLED,
  expired: ChallengeState.EXPIRED,
};

export function cancelOTPEmailChallenge(
  world: World,
  caller: Caller,
  request: Pick<CancelOTPEmailChallengeRequest, "userId" | "otpEmailId" | "challengeId">,
) {
  authenticate(caller);
  const { user } = authorize(world, caller, request.userId, challenger);
  const { otpEmail, challenge } = requireChallenge(request, user.otpEmails);
  if (challenge.state !== "pending" || challenge.code.expireTime <= world.now) throw ended();
  challenge.state = "cancelled";
  const data = { otp_email_id: otpEmail.otpEmailId, challenge_id: challenge.challengeId };
  return { details: addEvent(world, user, caller, "challenge.cancelled", data) };
}

function requireChallenge(
  { otpEmailId, challengeId }: { otpEmailId: string; challengeId: string },
  otpEmails: OTPEmail[],
) {
  const otpEmail = otpEmails.find((other) => other.otpEmailId === otpEmailId);
  if (!otpEmail) throw new Refused("NotFound", "OTP_EMAIL_NOT_FOUND");
  const challenge = otpEmail.challenges.find((other) => other.challengeId === challengeId);
  if (!challenge) throw new Refused("NotFound", "CHALLENGE_NOT_FOUND");
  return { otpEmail, challenge };
}

const expired = () => new Refused("FailedPrecondition", "CODE_EXPIRED");

const ended = () => new Refused("FailedPrecondition", "CHALLENGE_ENDED");
