import type {
  CancelOTPEmailChallengeRequest,
  CreateOTPEmailChallengeRequest,
  GetOTPEmailChallengeRequest,
  VerifyOTPEmailChallengeRequest,
} from "../../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { invalidArgument } from "../../lib/errors.ts";
import { loginUrlTemplateVariables } from "../../otp/delivery/url-template.ts";
import { parseCode } from "../../otp/enrolment/verify.ts";
import type { Policy } from "../../otp/policy.ts";
import { parseOTPEmailName, parseSendCode, type RequestedDelivery } from "../code-delivery.ts";
import { requireText } from "../text-fields.ts";

export type ChallengeParsers = ReturnType<typeof createChallengeParsers>;

/** For whom proofs may be asked for. */
export type Audiences = "any" | readonly string[];

/** The parsers of ChallengeService, by method. Each throws INVALID_ARGUMENT that names the field. */
export function createChallengeParsers(policy: Policy, audiences: Audiences) {
  return {
    createOTPEmailChallenge(message: CreateOTPEmailChallengeRequest) {
      const { nonce } = message;
      return {
        ...parseOTPEmailName(message),
        delivery: parseDelivery(message),
        audience: parseAudience(message.audience, audiences),
        nonce: nonce === undefined ? undefined : requireText(nonce, "nonce"),
      };
    },

    verifyOTPEmailChallenge(message: VerifyOTPEmailChallengeRequest) {
      const code = parseCode(policy.login, requireText(message.code, "code"));
      return { ...parseChallengeName(message), code };
    },

    getOTPEmailChallenge(message: GetOTPEmailChallengeRequest) {
      return parseChallengeName(message);
    },

    cancelOTPEmailChallenge(message: CancelOTPEmailChallengeRequest) {
      return parseChallengeName(message);
    },
  };
}

function parseDelivery({ delivery }: CreateOTPEmailChallengeRequest): RequestedDelivery {
  if (delivery.case === "returnCode") return { kind: "return_code", field: "return_code" };
  return parseSendCode(delivery.value, "send_code", loginUrlTemplateVariables);
}

function parseAudience(audience: string, audiences: Audiences): string {
  requireText(audience, "audience");
  if (audiences === "any" || audiences.includes(audience)) return audience;
  throw invalidArgument(
    "AUDIENCE_NOT_ALLOWED",
    "audience",
    "audience is not one that proofs may be for: check it, or ask the operator to allow it",
  );
}

function parseChallengeName(message: { userId: string; otpEmailId: string; challengeId: string }) {
  return { ...parseOTPEmailName(message), challengeId: requireText(message.challengeId, "challenge_id") };
}
