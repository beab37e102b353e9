import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { DetailsSchema } from "../../gen/countersign/user/v3alpha/details_pb.ts";
import { UserState } from "../../gen/countersign/user/v3alpha/user_pb.ts";
import type { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { permissionDenied } from "../errors.ts";
import { verifyOTPEmail } from "../otp/attempt.ts";
import type { OTPContext } from "../otp/context.ts";
import { addOTPEmail, listOTPEmails, type Verification } from "../otp/otp-email.ts";
import { hostAllowed } from "../otp/url-template.ts";
import type { Details } from "../user/event.ts";
import { createUser, detailsOf } from "../user/user.ts";
import { accessKey, actorOf, inputOf, requireUser } from "./call.ts";
import type { RequestedVerification, UserParsers } from "./user-requests.ts";

export interface UserServiceOptions {
  readonly otp: OTPContext;
  readonly parsers: UserParsers;
  /** Hosts that the user itself may name in a `url_template`. */
  readonly linkHosts: readonly string[];
}

/** UserService: message ↔ use case, and nothing else. */
export function createUserService(options: UserServiceOptions): ServiceImpl<typeof UserService> {
  const { otp, parsers, linkHosts } = options;
  return {
    async addOTPEmail(_request, context) {
      const { address, verification } = inputOf(context, parsers.addOTPEmail);
      refuseToProveItself(verification, context, linkHosts);
      const { user_id: userId } = requireUser(context);
      const input = { userId, address, verification: toVerification(verification), actor: actorOf(context) };
      const added = await addOTPEmail(otp, input);
      return {
        details: toDetails(added.details),
        otpEmailId: added.otpEmailId,
        verificationCode: added.code,
      };
    },

    async verifyOTPEmail(_request, context) {
      const { otpEmailId, code } = inputOf(context, parsers.verifyOTPEmail);
      const input = { otpEmailId, code, actor: actorOf(context) };
      return { details: toDetails(await verifyOTPEmail(otp, requireUser(context), input)) };
    },

    async createUser(_request, context) {
      const user = { ...inputOf(context, parsers.createUser), actor: actorOf(context) };
      const { userId, details } = await createUser(otp.store, otp.clock, user);
      return { userId, details: toDetails(details) };
    },

    async getUserByID(_request, context) {
      const user = requireUser(context);
      const otpEmails = await listOTPEmails(otp.store.db, user.user_id);
      return {
        user: {
          userId: user.user_id,
          details: toDetails(detailsOf(user)),
          state: states[user.state],
          preferredLanguage: user.preferred_language ?? undefined,
          displayName: user.display_name ?? undefined,
          authenticators: {
            otpEmail: otpEmails.map((row) => ({
              otpEmailId: row.otp_email_id,
              address: row.address,
              isVerified: row.verify_time !== null,
            })),
          },
        },
      };
    },
  };
}

const states = {
  active: UserState.ACTIVE,
  inactive: UserState.INACTIVE,
  locked: UserState.LOCKED,
} as const;

/**
 * The user itself must not come by the code, or past it, without reading the mail: no code in the reply, no word of
 * its own for it, no link that hands the code to a host of its choice.
 */
function refuseToProveItself(
  verification: RequestedVerification,
  context: HandlerContext,
  linkHosts: readonly string[],
): void {
  if (context.values.get(accessKey) !== "self") return;
  if (verification.kind !== "send_code") {
    throw permissionDenied(
      `email.${verification.kind} needs the permission user.write: leave it out and the code is mailed`,
    );
  }
  const { urlTemplate } = verification;
  if (urlTemplate && !hostAllowed(urlTemplate, linkHosts)) {
    throw permissionDenied(
      "email.send_code.url_template names a host that only a caller with user.write may name: leave it out, or ask the " +
        "operator to allow the host",
    );
  }
}

function toVerification(requested: RequestedVerification): Verification {
  if (requested.kind !== "send_code") return requested;
  return { kind: "send_code", urlTemplate: requested.urlTemplate?.source ?? null };
}

function toDetails(details: Details): MessageInitShape<typeof DetailsSchema> {
  return {
    sequence: BigInt(details.sequence),
    changeDate: timestampFromMs(details.changeTime),
    resourceOwner: details.orgId,
  };
}
