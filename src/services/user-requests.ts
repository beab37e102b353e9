import type { SetEmail } from "../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import type { Organization } from "../../gen/countersign/user/v3alpha/user_pb.ts";
import type {
  AddOTPEmailRequest,
  CreateUserRequest,
  GetUserByIDRequest,
  VerifyOTPEmailRequest,
} from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { invalidArgument } from "../errors.ts";
import { parseEnrolmentCode } from "../otp/attempt.ts";
import type { Policy } from "../otp/policy.ts";
import { parseUrlTemplate, type UrlTemplate } from "../otp/url-template.ts";
import { type EmailAddress, parseEmailAddress } from "../user/email-address.ts";
import { requireLanguage, requireName, requireText } from "./validate.ts";

/** How the caller wants the address to be verified. */
export type RequestedVerification =
  | { readonly kind: "send_code"; readonly urlTemplate: UrlTemplate | undefined }
  | { readonly kind: "return_code" }
  | { readonly kind: "is_verified" };

export type UserParsers = ReturnType<typeof createUserParsers>;

/** The parsers of UserService, by method. Each throws INVALID_ARGUMENT that names the field. */
export function createUserParsers(policy: Policy) {
  return {
    addOTPEmail(message: AddOTPEmailRequest) {
      const userId = requireText(message.userId, "user_id");
      if (!message.email)
        throw invalidArgument("REQUEST_INVALID", "email", "email is missing: give an address");
      return { userId, address: parseAddress(message.email), verification: parseVerification(message.email) };
    },

    verifyOTPEmail(message: VerifyOTPEmailRequest) {
      const userId = requireText(message.userId, "user_id");
      const otpEmailId = requireText(message.otpEmailId, "otp_email_id");
      const code = parseEnrolmentCode(policy, requireText(message.code, "code"));
      return { userId, otpEmailId, code };
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
  };
}

function parseAddress(email: SetEmail): EmailAddress {
  const parsed = parseEmailAddress(email.address);
  if (!parsed.ok) throw invalidArgument("EMAIL_INVALID", "email.address", parsed.problem);
  return parsed.address;
}

function parseVerification({ verification }: SetEmail): RequestedVerification {
  switch (verification.case) {
    case undefined:
      return { kind: "send_code", urlTemplate: undefined };
    case "sendCode":
      return { kind: "send_code", urlTemplate: parseTemplate(verification.value.urlTemplate) };
    case "returnCode":
      return { kind: "return_code" };
    case "isVerified":
      if (verification.value) return { kind: "is_verified" };
      throw invalidArgument(
        "REQUEST_INVALID",
        "email.is_verified",
        "email.is_verified must be true if it is given: leave it out and a code is mailed",
      );
  }
}

function parseTemplate(template: string | undefined): UrlTemplate | undefined {
  if (template === undefined) return undefined;
  const field = "email.send_code.url_template";
  const parsed = parseUrlTemplate(requireText(template, field));
  if (!parsed.ok) throw invalidArgument("URL_TEMPLATE_INVALID", field, parsed.problem);
  return parsed.template;
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
