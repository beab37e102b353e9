import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** The `domain` of every `google.rpc.ErrorInfo` (AIP-193). */
export const errorDomain = "countersign";

/** The reasons that callers branch on. They are part of the contract: added to, never renamed. */
export type Reason =
  | "TOKEN_MISSING"
  | "TOKEN_INVALID"
  | "TOKEN_EXPIRED"
  | "PERMISSION_MISSING"
  | "USER_NOT_FOUND"
  | "OTP_EMAIL_NOT_FOUND"
  | "USER_NOT_ACTIVE"
  | "USER_ALREADY_EXISTS"
  | "REQUEST_INVALID"
  | "EMAIL_INVALID"
  | "URL_TEMPLATE_INVALID"
  | "USER_NOT_INACTIVE"
  | "USER_NOT_LOCKED"
  | "OTP_EMAIL_ALREADY_EXISTS"
  | "OTP_EMAIL_ALREADY_VERIFIED"
  | "OTP_EMAIL_LIMIT_REACHED"
  | "OTP_EMAIL_NOT_LOCKED"
  | "OTP_EMAIL_NOT_VERIFIED"
  | "CHALLENGE_NOT_FOUND"
  | "CHALLENGE_ENDED"
  | "AUDIENCE_NOT_ALLOWED"
  | "PAGE_TOKEN_INVALID"
  | "CODE_INVALID"
  | "CODE_EXPIRED"
  | "CODE_USED"
  | "ATTEMPTS_EXHAUSTED"
  | "SERVICE_NOT_FOUND"
  | "WATCHERS_EXHAUSTED"
  | "RESEND_TOO_SOON"
  | "SEND_LIMIT_REACHED"
  | "IDEMPOTENCY_KEY_INVALID"
  | "IDEMPOTENCY_KEY_REUSED"
  | "ISSUER_UNAVAILABLE"
  | "STORAGE_UNAVAILABLE"
  | "INTERNAL";

/** INVALID_ARGUMENT. `field` is the path of the offending field in proto spelling, such as `email.address`. */
export function invalidArgument(reason: Reason, field: string, message: string): ConnectError {
  const error = failure(Code.InvalidArgument, reason, message, { field });
  const fieldViolations = [{ field, description: message, reason }];
  error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  return error;
}

/** UNAUTHENTICATED. The bearer challenge of RFC 6750 §3 is added where the error leaves the service. */
export function unauthenticated(reason: Reason, message: string): ConnectError {
  return failure(Code.Unauthenticated, reason, message);
}

/** PERMISSION_DENIED: the same words whether or not the user exists. */
export function permissionDenied(message: string): ConnectError {
  return failure(Code.PermissionDenied, "PERMISSION_MISSING", message);
}

/** NOT_FOUND. */
export function notFound(reason: Reason, message: string): ConnectError {
  return failure(Code.NotFound, reason, message);
}

/** ALREADY_EXISTS. */
export function alreadyExists(reason: Reason, message: string): ConnectError {
  return failure(Code.AlreadyExists, reason, message);
}

/** FAILED_PRECONDITION: the state of the resource forbids the call. */
export function failedPrecondition(reason: Reason, message: string): ConnectError {
  return failure(Code.FailedPrecondition, reason, message);
}

/** RESOURCE_EXHAUSTED. `retryAfterMs`: after this many milliseconds the same call is accepted again. */
export function resourceExhausted(reason: Reason, message: string, retryAfterMs: number): ConnectError {
  return withRetryInfo(failure(Code.ResourceExhausted, reason, message), retryAfterMs);
}

/** UNAVAILABLE. `retryAfterMs`: when it is worth trying again, in milliseconds. */
export function unavailable(reason: Reason, message: string, retryAfterMs: number): ConnectError {
  return withRetryInfo(failure(Code.Unavailable, reason, message), retryAfterMs);
}

/** INTERNAL: says nothing but the id under which the log has the cause (ASVS 16.5.1). */
export function internal(correlationId: string, cause: unknown): ConnectError {
  const error = failure(Code.Internal, "INTERNAL", `internal error, logged as ${correlationId}`, {
    correlation_id: correlationId,
  });
  error.cause = cause;
  return error;
}

/** The reason of an error made here or in `wire`, for logs. Undefined if it carries none. */
export function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

function failure(code: Code, reason: Reason, message: string, metadata: Record<string, string> = {}) {
  const info = create(ErrorInfoSchema, { reason, domain: errorDomain, metadata });
  return new ConnectError(message, code, undefined, [{ desc: ErrorInfoSchema, value: info }]);
}

function withRetryInfo(error: ConnectError, retryAfterMs: number): ConnectError {
  // Rounded up to whole seconds: the value also goes out as Retry-After, and waiting that long must succeed.
  const seconds = BigInt(Math.max(1, Math.ceil(retryAfterMs / 1000)));
  const retry = create(RetryInfoSchema, { retryDelay: { seconds, nanos: 0 } });
  error.details.push({ desc: RetryInfoSchema, value: retry });
  return error;
}
