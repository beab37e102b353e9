import type {
  SendEmailVerificationCode,
  SetEmail,
} from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { type Organization, UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import type {
  AddOTPEmailRequest,
  CreateUserRequest,
  GetOTPEmailRequest,
  GetUserByIDRequest,
  ListEventsRequest,
  ListOTPEmailsRequest,
  ListUsersRequest,
  RemoveOTPEmailRequest,
  ResendOTPEmailCodeRequest,
  UnlockOTPEmailRequest,
  VerifyOTPEmailRequest,
  WatchEventsRequest,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { type EmailAddress, parseEmailAddress } from "../../lib/email-address.ts";
import { invalidArgument } from "../../lib/errors.ts";
import { urlTemplateVariables } from "../../otp/delivery/url-template.ts";
import { parseCode } from "../../otp/enrolment/verify.ts";
import type { Policy } from "../../otp/policy.ts";
import { parseOTPEmailName, parseSendCode, type RequestedDelivery } from "../code-delivery.ts";
import { requireLanguage, requireName, requirePageSize, requireText } from "../text-fields.ts";

/** How the caller wants the address to be verified. */
export type RequestedVerification =
  | RequestedDelivery
  | { readonly kind: "is_verified"; readonly field: string };

export type UserParsers = ReturnType<typeof createUserParsers>;

/**
 * The parsers of UserService, by method. Each throws INVALID_ARGUMENT that names the field.
 *
 * @param takesUtf8 whether mails to local parts beyond ASCII would arrive, at this moment.
 */
export function createUserParsers(policy: Policy, takesUtf8: () => boolean) {
  return {
    addOTPEmail(message: AddOTPEmailRequest) {
      const userId = requireText(message.userId, "user_id");
      if (!message.email)
        throw invalidArgument("REQUEST_INVALID", "email", "email is missing: give an address");
      return {
        userId,
        address: parseAddress(message.email.address, "email.address", takesUtf8()),
        verification: parseVerification(message.email),
      };
    },

    verifyOTPEmail(message: VerifyOTPEmailRequest) {
      const code = parseCode(policy.enrolment, requireText(message.code, "code"));
      return { ...parseOTPEmailName(message), code };
    },

    resendOTPEmailCode(message: ResendOTPEmailCodeRequest) {
      return { ...parseOTPEmailName(message), delivery: parseDelivery(message) };
    },

    listOTPEmails(message: ListOTPEmailsRequest) {
      const userId = requireText(message.userId, "user_id");
      return { userId, pageSize: requirePageSize(message.pageSize), pageToken: message.pageToken };
    },

    getOTPEmail(message: GetOTPEmailRequest) {
      return parseOTPEmailName(message);
    },

    removeOTPEmail(message: RemoveOTPEmailRequest) {
      return { ...parseOTPEmailName(message), reason: parseReason(message) };
    },

    unlockOTPEmail(message: UnlockOTPEmailRequest) {
      return { ...parseOTPEmailName(message), reason: parseReason(message) };
    },

    createUser(message: CreateUserRequest) {
      const { userId, displayName, preferredLanguage } = message;
      return {
        userId: userId === undefined ? undefined : requireText(userId, "user_id"),
        orgId: parseOrganization(message.organization),
        preferredLanguage:
          preferredLanguage === undefined
            ? undefined
            : requireLanguage(preferredLanguage, "preferred_language"),
        displayName: displayName === undefined ? undefined : requireName(displayName, "display_name"),
      };
    },

    getUserByID(message: GetUserByIDRequest) {
      return { userId: requireText(message.userId, "user_id") };
    },

    listEvents(message: ListEventsRequest) {
      const userId = requireText(message.userId, "user_id");
      return { userId, pageSize: requirePageSize(message.pageSize), pageToken: message.pageToken };
    },

    watchEvents({ afterPosition }: WatchEventsRequest) {
      const after = afterPosition === undefined ? undefined : parsePosition(afterPosition);
      return { orgId: undefined, after };
    },

    listUsers(message: ListUsersRequest) {
      const { orgId, emailAddress } = message;
      return {
        orgId: orgId === undefined ? undefined : requireText(orgId, "org_id"),
        filter: {
          state: parseState(message.state),
          canonicalAddress:
            emailAddress === undefined
              ? undefined
              : // It may have been added when a relay took it.
                parseAddress(emailAddress, "email_address", true).canonical,
        },
        pageSize: requirePageSize(message.pageSize),
        pageToken: message.pageToken,
      };
    },

    deactivateUser: parseUserChange,
    reactivateUser: parseUserChange,
    lockUser: parseUserChange,
    unlockUser: parseUserChange,
    deleteUser: parseUserChange,
  };
}

function sendCode(asked: SendEmailVerificationCode | undefined, field: string) {
  return parseSendCode(asked, field, urlTemplateVariables);
}

function parseAddress(address: string, field: string, utf8: boolean): EmailAddress {
  const parsed = parseEmailAddress(address, { utf8 });
  if (!parsed.ok) throw invalidArgument("EMAIL_INVALID", field, parsed.problem);
  return parsed.address;
}

function parseVerification({ verification }: SetEmail): RequestedVerification {
  switch (verification.case) {
    case undefined:
      return sendCode(undefined, "email.send_code");
    case "sendCode":
      return sendCode(verification.value, "email.send_code");
    case "returnCode":
      return { kind: "return_code", field: "email.return_code" };
    case "isVerified":
      if (verification.value) return { kind: "is_verified", field: "email.is_verified" };
      throw invalidArgument(
        "REQUEST_INVALID",
        "email.is_verified",
        "email.is_verified must be true if it is given: leave it out and a code is mailed",
      );
  }
}

function parseDelivery({ verification }: ResendOTPEmailCodeRequest): RequestedDelivery {
  if (verification.case === "returnCode") return { kind: "return_code", field: "return_code" };
  return sendCode(verification.value, "send_code");
}

function parseUserChange(message: { userId: string; reason?: string }) {
  return { userId: requireText(message.userId, "user_id"), reason: parseReason(message) };
}

function parseState(state: UserState): "active" | "inactive" | "locked" | undefined {
  switch (state) {
    case UserState.UNSPECIFIED:
      return undefined;
    case UserState.ACTIVE:
      return "active";
    case UserState.INACTIVE:
      return "inactive";
    case UserState.LOCKED:
      return "locked";
    default:
      throw invalidArgument(
        "REQUEST_INVALID",
        "state",
        "state must be that of a user that can be listed: active, inactive or locked. Leave it out for all of them",
      );
  }
}

function parsePosition(position: string): number {
  // Of 15 digits any number is exact.
  if (/^\d{1,15}$/.test(position)) return Number(position);
  throw invalidArgument(
    "REQUEST_INVALID",
    "after_position",
    "after_position must be a position that this service told, or 0 for the beginning",
  );
}

function parseReason({ reason }: { reason?: string }): string | undefined {
  return reason === undefined ? undefined : requireName(reason, "reason");
}

function parseOrganization(organization: Organization | undefined): string {
  const org = organization?.org;
  switch (org?.case) {
    case "orgId":
      return requireText(org.value, "organization.org_id");
    case "orgDomain":
      throw invalidArgument(
        "REQUEST_INVALID",
        "organization.org_domain",
        "organization.org_domain is not supported: give organization.org_id",
      );
    default:
      throw invalidArgument(
        "REQUEST_INVALID",
        "organization.org_id",
        "organization.org_id is missing: give the id of the organization that the user will belong to",
      );
  }
}
