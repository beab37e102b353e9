import { type Reason, Refusal, type RefusalOptions } from "../lib/refusal.ts";
import type { ErrorResponse } from "../wire/openapi/openapi.ts";
import { internalError, toConnectError } from "./public-error.ts";

/** The errors of the API reference by HTTP status, in the order of the checks. */
export const errorResponses: Readonly<Record<string, ErrorResponse>> = {
  "400": {
    description:
      "The request is invalid, the code is wrong, or the state of the user does not allow the call.",
    examples: [
      example("REQUEST_INVALID", "user_id is missing: give 1 to 200 characters", { field: "user_id" }),
      example(
        "EMAIL_INVALID",
        "the domain must have at least one dot: give a full domain such as mouse.com",
        { field: "email.address" },
      ),
      example("USER_NOT_ACTIVE", "the user is locked: unlock it first"),
      example("CODE_INVALID", "this is not the code from the mail: check it and try again", {
        field: "code",
      }),
      example("CODE_EXPIRED", "the code is no longer valid: add the address again for a new one"),
    ],
  },
  "401": {
    description: "The access token is missing or invalid.",
    headers: {
      "WWW-Authenticate": {
        required: true,
        description: "How to authenticate (RFC 6750 §3).",
        schema: { type: "string" },
        example: 'Bearer realm="countersign", error="invalid_token"',
      },
    },
    examples: [
      example("TOKEN_MISSING", "send an access token: Authorization: Bearer <token>"),
      example("TOKEN_EXPIRED", "the access token has expired: get a new one"),
    ],
  },
  "403": {
    description: "The caller has no permission for this call. Says nothing about whether the user exists.",
    examples: [
      example(
        "PERMISSION_MISSING",
        "the token does not allow this: it needs the permission user.write in the organization, or the user_id as its subject",
      ),
    ],
  },
  "404": {
    description: "The organizations of the caller have no such user or authenticator.",
    examples: [
      example("USER_NOT_FOUND", "there is no such user: create it first, or check the user_id"),
      example("OTP_EMAIL_NOT_FOUND", "the user has no such authenticator: check the otp_email_id"),
    ],
  },
  "409": {
    description: "The user or address exists already.",
    examples: [
      example("USER_ALREADY_EXISTS", "the user_id is taken: choose another, or leave it out and one is made"),
      example(
        "OTP_EMAIL_ALREADY_EXISTS",
        "the user has this address already, and it is verified: there is nothing to add",
      ),
    ],
  },
  "429": {
    description: "Too many wrong codes, mails or requests. Wait, then try again.",
    headers: {
      "Retry-After": {
        description: "When to send the same call again, in seconds.",
        schema: { type: "integer", minimum: 1 },
        example: 300,
      },
    },
    examples: [
      example(
        "ATTEMPTS_EXHAUSTED",
        "too many wrong codes: the authenticator is locked for a while. Wait, then ask for a new code",
        { retryAfterMs: 300_000 },
      ),
    ],
  },
  default: {
    description: "Any other error, with the HTTP status of its code in google/rpc/code.proto.",
    examples: [
      internalError("7f0c3c1e-93a5-4f0e-8f6b-3f1f2f0f9d11", undefined),
      example("STORAGE_UNAVAILABLE", "the service cannot reach its storage: try again", {
        retryAfterMs: 1_000,
      }),
    ],
  },
};

function example(reason: Reason, message: string, options?: RefusalOptions) {
  return toConnectError(new Refusal(reason, message, options));
}
