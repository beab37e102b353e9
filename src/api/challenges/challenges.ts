import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CreateOTPEmailChallengeRequest,
  CreateOTPEmailChallengeRequestSchema,
  type VerifyOTPEmailChallengeRequest,
} from "../../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { Refusal } from "../../lib/refusal.ts";
import { createChallenge } from "../../otp/challenges/create.ts";
import { cancelChallenge } from "../../otp/challenges/end.ts";
import { getChallenge } from "../../otp/challenges/read.ts";
import { verifyChallenge } from "../../otp/challenges/verify.ts";
import { parseCode } from "../../otp/codes/code.ts";
import { loginUrlTemplateVariables } from "../../otp/delivery/url-template.ts";
import { causeOf, requireUser } from "../call-context.ts";
import {
  forbidBypassingMail,
  parseOTPEmailName,
  parseSendCode,
  type RequestedDelivery,
  toDelivery,
} from "../code-delivery.ts";
import type { ApiDependencies } from "../dependencies.ts";
import { idempotencyKeyOf } from "../idempotency-key.ts";
import { toChallenge, toDetails } from "../messages.ts";
import type { Call } from "../methods.ts";
import { requireText } from "../text-fields.ts";

// The methods of ChallengeService, each with a parser and a handler.

export function parseCreateOTPEmailChallenge(
  message: CreateOTPEmailChallengeRequest,
  { proofAudiences }: ApiDependencies,
) {
  const { nonce } = message;
  return {
    ...parseOTPEmailName(message),
    delivery: parseDelivery(message),
    audience: parseAudience(message.audience, proofAudiences),
    nonce: nonce === undefined ? undefined : requireText(nonce, "nonce"),
  };
}

export async function createOTPEmailChallenge(
  {
    input,
    message,
    context,
  }: Call<ReturnType<typeof parseCreateOTPEmailChallenge>, CreateOTPEmailChallengeRequest>,
  { otp, linkHosts }: ApiDependencies,
) {
  const { otpEmailId, delivery, audience, nonce } = input;
  forbidBypassingMail(delivery, context, { linkHosts, permission: "otp.challenge" });
  const { user_id: userId, org_id: orgId } = requireUser(context);
  const created = await createChallenge(otp, {
    ...causeOf(context),
    userId,
    orgId,
    otpEmailId,
    delivery: toDelivery(delivery, context),
    audience,
    nonce,
    idempotencyKey: idempotencyKeyOf(otp.keys, context, CreateOTPEmailChallengeRequestSchema, message),
  });
  return {
    details: toDetails(created.details),
    challengeId: created.challengeId,
    expireTime: timestampFromMs(created.expireTime),
    code: created.code,
  };
}

export function parseVerifyOTPEmailChallenge(
  message: VerifyOTPEmailChallengeRequest,
  { otp }: ApiDependencies,
) {
  const code = parseCode(requireText(message.code, "code"), otp.policy.login.format);
  return { ...parseChallengeName(message), code };
}

export async function verifyOTPEmailChallenge(
  { input, context }: Call<ReturnType<typeof parseVerifyOTPEmailChallenge>>,
  { otp, prover }: ApiDependencies,
) {
  const { otpEmailId, challengeId, code } = input;
  const user = requireUser(context);
  const request = { ...causeOf(context), otpEmailId, challengeId, code };
  const { details, ...passed } = await verifyChallenge(otp, user, request);
  const proof = await prover.prove({
    subject: user.user_id,
    audience: passed.audience,
    nonce: passed.nonce,
    id: passed.challengeId,
    authTime: passed.passTime,
  });
  return { details: toDetails(details), proof };
}

export async function getOTPEmailChallenge(
  { input, context }: Call<ReturnType<typeof parseChallengeName>>,
  { otp }: ApiDependencies,
) {
  const { otpEmailId, challengeId } = input;
  const { user_id: userId } = requireUser(context);
  return { challenge: toChallenge(await getChallenge(otp, { userId, otpEmailId, challengeId })) };
}

export async function cancelOTPEmailChallenge(
  { input, context }: Call<ReturnType<typeof parseChallengeName>>,
  { otp }: ApiDependencies,
) {
  const { otpEmailId, challengeId } = input;
  const { user_id: userId } = requireUser(context);
  const request = { ...causeOf(context), userId, otpEmailId, challengeId };
  return { details: toDetails(await cancelChallenge(otp, request)) };
}

export function parseChallengeName(message: { userId: string; otpEmailId: string; challengeId: string }) {
  return { ...parseOTPEmailName(message), challengeId: requireText(message.challengeId, "challenge_id") };
}

function parseDelivery({ delivery }: CreateOTPEmailChallengeRequest): RequestedDelivery {
  if (delivery.case === "returnCode") return { kind: "return_code", field: "return_code" };
  return parseSendCode(delivery.value, "send_code", loginUrlTemplateVariables);
}

function parseAudience(audience: string, audiences: ApiDependencies["proofAudiences"]): string {
  requireText(audience, "audience");
  if (audiences === "any" || audiences.includes(audience)) return audience;
  throw new Refusal(
    "AUDIENCE_NOT_ALLOWED",
    "audience is not allowed for proofs: check it, or ask the operator to allow it",
    { field: "audience" },
  );
}
