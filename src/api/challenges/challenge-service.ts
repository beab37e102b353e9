import { ChallengeService } from "../../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import type { Rule } from "../../auth/permissions.ts";
import type { ApiDependencies } from "../dependencies.ts";
import { type ApiService, serveTable } from "../methods.ts";
import {
  cancelOTPEmailChallenge,
  createOTPEmailChallenge,
  getOTPEmailChallenge,
  parseChallengeName,
  parseCreateOTPEmailChallenge,
  parseVerifyOTPEmailChallenge,
  verifyOTPEmailChallenge,
} from "./challenges.ts";

/** Without `user.write`: managing users does not include signing them in. */
const challengeUser: Rule = { anyOf: ["otp.challenge"], target: "user", self: true };

/** ChallengeService, a row per method: who may call it, its parser and its handler. */
export function createChallengeService(dependencies: ApiDependencies): ApiService {
  return serveTable(
    ChallengeService,
    {
      createOTPEmailChallenge: {
        rule: challengeUser,
        parse: parseCreateOTPEmailChallenge,
        handle: createOTPEmailChallenge,
      },
      verifyOTPEmailChallenge: {
        rule: challengeUser,
        parse: parseVerifyOTPEmailChallenge,
        handle: verifyOTPEmailChallenge,
      },
      getOTPEmailChallenge: { rule: challengeUser, parse: parseChallengeName, handle: getOTPEmailChallenge },
      cancelOTPEmailChallenge: {
        rule: challengeUser,
        parse: parseChallengeName,
        handle: cancelOTPEmailChallenge,
      },
    },
    dependencies,
  );
}
