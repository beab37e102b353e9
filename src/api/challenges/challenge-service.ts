import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  type ChallengeService,
  CreateOTPEmailChallengeRequestSchema,
} from "../../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import type { Prover } from "../../auth/prover.ts";
import { createChallenge } from "../../otp/challenges/create.ts";
import { cancelChallenge } from "../../otp/challenges/end.ts";
import { getChallenge } from "../../otp/challenges/read.ts";
import { verifyChallenge } from "../../otp/challenges/verify.ts";
import type { OTPContext } from "../../otp/context.ts";
import { causeOf, inputOf, requireUser } from "../call-context.ts";
import { refuseToProveItself, toDelivery } from "../code-delivery.ts";
import { idempotencyKeyOf } from "../idempotency-key.ts";
import { toChallenge, toDetails } from "../messages.ts";
import type { ChallengeParsers } from "./challenge-requests.ts";

export interface ChallengeServiceOptions {
  readonly otp: OTPContext;
  readonly parsers: ChallengeParsers;
  readonly prover: Prover;
  /** Hosts that the user itself may name in a `url_template`. */
  readonly linkHosts: readonly string[];
}

/** ChallengeService: message ↔ use case, and nothing else. */
export function createChallengeService(
  options: ChallengeServiceOptions,
): ServiceImpl<typeof ChallengeService> {
  const { otp, parsers, prover, linkHosts } = options;
  return {
    async createOTPEmailChallenge(request, context) {
      const { otpEmailId, delivery, audience, nonce } = inputOf(context, parsers.createOTPEmailChallenge);
      refuseToProveItself(delivery, context, { linkHosts, permission: "otp.challenge" });
      const { user_id: userId, org_id: orgId } = requireUser(context);
      const created = await createChallenge(otp, {
        ...causeOf(context),
        userId,
        orgId,
        otpEmailId,
        delivery: toDelivery(delivery, context),
        audience,
        nonce,
        idempotencyKey: idempotencyKeyOf(otp.keys, context, CreateOTPEmailChallengeRequestSchema, request),
      });
      return {
        details: toDetails(created.details),
        challengeId: created.challengeId,
        expireTime: timestampFromMs(created.expireTime),
        code: created.code,
      };
    },

    async verifyOTPEmailChallenge(_request, context) {
      const { otpEmailId, challengeId, code } = inputOf(context, parsers.verifyOTPEmailChallenge);
      const user = requireUser(context);
      const input = { ...causeOf(context), otpEmailId, challengeId, code };
      const { details, ...passed } = await verifyChallenge(otp, user, input);
      const proof = await prover.prove({
        subject: user.user_id,
        audience: passed.audience,
        nonce: passed.nonce,
        id: passed.challengeId,
        authTime: passed.passTime,
      });
      return { details: toDetails(details), proof };
    },

    async getOTPEmailChallenge(_request, context) {
      const { otpEmailId, challengeId } = inputOf(context, parsers.getOTPEmailChallenge);
      const { user_id: userId } = requireUser(context);
      return { challenge: toChallenge(await getChallenge(otp, { userId, otpEmailId, challengeId })) };
    },

    async cancelOTPEmailChallenge(_request, context) {
      const { otpEmailId, challengeId } = inputOf(context, parsers.cancelOTPEmailChallenge);
      const { user_id: userId } = requireUser(context);
      const input = { ...causeOf(context), userId, otpEmailId, challengeId };
      return { details: toDetails(await cancelChallenge(otp, input)) };
    },
  };
}
