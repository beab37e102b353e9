import type {
  SendEmailVerificationCode,
  SetEmail,
} from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import {
  type AddOTPEmailRequest,
  AddOTPEmailRequestSchema,
  type GetOTPEmailRequest,
  type ListOTPEmailsRequest,
  type RemoveOTPEmailRequest,
  type ResendOTPEmailCodeRequest,
  ResendOTPEmailCodeRequestSchema,
  type UnlockOTPEmailRequest,
  type VerifyOTPEmailRequest,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { Refusal } from "../../lib/refusal.ts";
import { parseCode } from "../../otp/codes/code.ts";
import { urlTemplateVariables } from "../../otp/delivery/url-template.ts";
import { addOTPEmail as add } from "../../otp/enrolment/add.ts";
import { getOTPEmail as get, listOTPEmails as list } from "../../otp/enrolment/read.ts";
import { removeOTPEmail as remove } from "../../otp/enrolment/remove.ts";
import { resendCode } from "../../otp/enrolment/resend.ts";
import { unlockOTPEmail as unlock } from "../../otp/enrolment/unlock.ts";
import { verifyOTPEmail as verify } from "../../otp/enrolment/verify.ts";
import { requireActive } from "../../users/user.ts";
import { accessKey, causeOf, mayReadAddresses, requireUser } from "../call-context.ts";
import {
  forbidBypassingMail,
  parseOTPEmailName,
  parseSendCode,
  type RequestedDelivery,
  toDelivery,
} from "../code-delivery.ts";
import type { ApiDependencies } from "../dependencies.ts";
import { idempotencyKeyOf } from "../idempotency-key.ts";
import { toDetails, toOTPEmail } from "../messages.ts";
import type { Call } from "../methods.ts";
import { pageOf } from "../page-token.ts";
import { parseAddress, parseReason, requirePageSize, requireText } from "../text-fields.ts";

// The methods of UserService for the authenticators of a user, each with a parser and a handler.

export function parseAddOTPEmail(message: AddOTPEmailRequest, { takesUtf8 }: ApiDependencies) {
  const userId = requireText(message.userId, "user_id");
  if (!message.email)
    throw new Refusal("REQUEST_INVALID", "email is missing: give an address", { field: "email" });
  return {
    userId,
    address: parseAddress(message.email.address, "email.address", takesUtf8()),
    verification: parseVerification(message.email),
  };
}

export async function addOTPEmail(
  { input, message, context }: Call<ReturnType<typeof parseAddOTPEmail>, AddOTPEmailRequest>,
  { otp, linkHosts }: ApiDependencies,
) {
  const { address, verification } = input;
  forbidBypassingMail(verification, context, { linkHosts, permission: "user.write" });
  const { user_id: userId, org_id: orgId } = requireUser(context);
  const { actor, clientAddress, caller } = causeOf(context);
  const added = await add(otp, {
    actor,
    clientAddress,
    caller,
    userId,
    orgId,
    address,
    verification: verification.kind === "is_verified" ? verification : toDelivery(verification, context),
    idempotencyKey: idempotencyKeyOf(otp.keys, context, AddOTPEmailRequestSchema, message),
  });
  return {
    details: toDetails(added.details),
    otpEmailId: added.otpEmailId,
    verificationCode: added.code,
  };
}

export function parseVerifyOTPEmail(message: VerifyOTPEmailRequest, { otp }: ApiDependencies) {
  const code = parseCode(requireText(message.code, "code"), otp.policy.enrolment.format);
  return { ...parseOTPEmailName(message), code };
}

export async function verifyOTPEmail(
  { input, context }: Call<ReturnType<typeof parseVerifyOTPEmail>>,
  { otp }: ApiDependencies,
) {
  const { otpEmailId, code } = input;
  const { actor, clientAddress, caller } = causeOf(context);
  const request = { actor, clientAddress, caller, otpEmailId, code };
  return { details: toDetails(await verify(otp, requireUser(context), request)) };
}

export function parseResendOTPEmailCode(message: ResendOTPEmailCodeRequest) {
  return { ...parseOTPEmailName(message), delivery: parseResendDelivery(message) };
}

export async function resendOTPEmailCode(
  { input, message, context }: Call<ReturnType<typeof parseResendOTPEmailCode>, ResendOTPEmailCodeRequest>,
  { otp, linkHosts }: ApiDependencies,
) {
  const { otpEmailId, delivery } = input;
  forbidBypassingMail(delivery, context, { linkHosts, permission: "user.write" });
  const { user_id: userId } = requireUser(context);
  const { details, code } = await resendCode(otp, {
    ...causeOf(context),
    userId,
    otpEmailId,
    delivery: toDelivery(delivery, context),
    idempotencyKey: idempotencyKeyOf(otp.keys, context, ResendOTPEmailCodeRequestSchema, message),
  });
  return { details: toDetails(details), verificationCode: code };
}

export function parseListOTPEmails(message: ListOTPEmailsRequest) {
  const userId = requireText(message.userId, "user_id");
  return { userId, pageSize: requirePageSize(message.pageSize), pageToken: message.pageToken };
}

export async function listOTPEmails(
  { input, context }: Call<ReturnType<typeof parseListOTPEmails>>,
  { otp, pageTokens }: ApiDependencies,
) {
  const { pageSize, pageToken } = input;
  const user = requireUser(context);
  const scope = ["ListOTPEmails", user.org_id, user.user_id];
  const [after] = pageTokens.read(scope, pageToken) ?? [];
  const { page, last } = pageOf(await list(otp, user, { after, limit: pageSize + 1 }), pageSize);
  const masked = !mayReadAddresses(context, user);
  return {
    otpEmails: page.map((otpEmail) => toOTPEmail(otpEmail, { masked })),
    nextPageToken: last ? pageTokens.make(scope, [last.otpEmailId]) : "",
  };
}

export function parseGetOTPEmail(message: GetOTPEmailRequest) {
  return parseOTPEmailName(message);
}

export async function getOTPEmail(
  { input, context }: Call<ReturnType<typeof parseGetOTPEmail>>,
  { otp }: ApiDependencies,
) {
  const user = requireUser(context);
  const otpEmail = await get(otp, user, input.otpEmailId);
  return { otpEmail: toOTPEmail(otpEmail, { masked: !mayReadAddresses(context, user) }) };
}

export function parseOTPEmailChange(message: RemoveOTPEmailRequest | UnlockOTPEmailRequest) {
  return { ...parseOTPEmailName(message), reason: parseReason(message) };
}

export async function removeOTPEmail(
  { input, context }: Call<ReturnType<typeof parseOTPEmailChange>>,
  { otp }: ApiDependencies,
) {
  const { otpEmailId, reason } = input;
  const user = requireUser(context);
  // Not for a locked user: after an account takeover, the address proves who the owner is.
  if (context.values.get(accessKey) === "self") requireActive(user);
  const request = { ...causeOf(context), userId: user.user_id, otpEmailId, reason };
  return { details: toDetails(await remove(otp, request)) };
}

export async function unlockOTPEmail(
  { input, context }: Call<ReturnType<typeof parseOTPEmailChange>>,
  { otp }: ApiDependencies,
) {
  const { otpEmailId, reason } = input;
  const { user_id: userId } = requireUser(context);
  return { details: toDetails(await unlock(otp, { ...causeOf(context), userId, otpEmailId, reason })) };
}

type RequestedVerification = RequestedDelivery | { readonly kind: "is_verified"; readonly field: string };

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
      throw new Refusal(
        "REQUEST_INVALID",
        "email.is_verified must be true if it is given: leave it out, and a code is mailed",
        { field: "email.is_verified" },
      );
  }
}

function parseResendDelivery({ verification }: ResendOTPEmailCodeRequest): RequestedDelivery {
  if (verification.case === "returnCode") return { kind: "return_code", field: "return_code" };
  return sendCode(verification.value, "send_code");
}

function sendCode(message: SendEmailVerificationCode | undefined, field: string) {
  return parseSendCode(message, field, urlTemplateVariables);
}
