import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { bearerChallenge } from "../auth/bearer.ts";
import type { Log } from "../lib/log.ts";
import { errorDomain, type Reason, Refusal } from "../lib/refusal.ts";

/** The status code (google.rpc.Code) of each reason. It determines the HTTP status. */
const codes: Readonly<Record<Reason, Code>> = {
  TOKEN_MISSING: Code.Unauthenticated,
  TOKEN_INVALID: Code.Unauthenticated,
  TOKEN_EXPIRED: Code.Unauthenticated,
  PERMISSION_MISSING: Code.PermissionDenied,
  USER_NOT_FOUND: Code.NotFound,
  OTP_EMAIL_NOT_FOUND: Code.NotFound,
  CHALLENGE_NOT_FOUND: Code.NotFound,
  SERVICE_NOT_FOUND: Code.NotFound,
  REQUEST_INVALID: Code.InvalidArgument,
  EMAIL_INVALID: Code.InvalidArgument,
  URL_TEMPLATE_INVALID: Code.InvalidArgument,
  AUDIENCE_NOT_ALLOWED: Code.InvalidArgument,
  PAGE_TOKEN_INVALID: Code.InvalidArgument,
  CODE_INVALID: Code.InvalidArgument,
  IDEMPOTENCY_KEY_INVALID: Code.InvalidArgument,
  USER_ALREADY_EXISTS: Code.AlreadyExists,
  OTP_EMAIL_ALREADY_EXISTS: Code.AlreadyExists,
  USER_NOT_ACTIVE: Code.FailedPrecondition,
  USER_NOT_INACTIVE: Code.FailedPrecondition,
  USER_NOT_LOCKED: Code.FailedPrecondition,
  OTP_EMAIL_ALREADY_VERIFIED: Code.FailedPrecondition,
  // Not RESOURCE_EXHAUSTED, which tells clients to retry: that can't help here.
  OTP_EMAIL_LIMIT_REACHED: Code.FailedPrecondition,
  OTP_EMAIL_NOT_LOCKED: Code.FailedPrecondition,
  OTP_EMAIL_NOT_VERIFIED: Code.FailedPrecondition,
  CHALLENGE_ENDED: Code.FailedPrecondition,
  CODE_EXPIRED: Code.FailedPrecondition,
  CODE_USED: Code.FailedPrecondition,
  IDEMPOTENCY_KEY_REUSED: Code.FailedPrecondition,
  ATTEMPTS_EXHAUSTED: Code.ResourceExhausted,
  RESEND_TOO_SOON: Code.ResourceExhausted,
  SEND_LIMIT_REACHED: Code.ResourceExhausted,
  WATCHERS_EXHAUSTED: Code.ResourceExhausted,
  ISSUER_UNAVAILABLE: Code.Unavailable,
  STORAGE_UNAVAILABLE: Code.Unavailable,
  INTERNAL: Code.Internal,
};

/**
 * Makes the error that callers get. It always has an `ErrorInfo`, a `BadRequest` if a field is invalid, a `RetryInfo` if
 * waiting helps, and for UNAUTHENTICATED the challenge of RFC 6750 §3.
 */
export function toConnectError(refusal: Refusal): ConnectError {
  const { reason, message, field, retryAfterMs } = refusal;
  const error = withErrorInfo(codes[reason], reason, message, field === undefined ? {} : { field });
  error.cause = refusal.cause;
  if (field !== undefined) {
    const fieldViolations = [{ field, description: message, reason }];
    error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  if (retryAfterMs !== undefined) {
    // Rounded up to whole seconds, because it is also sent as Retry-After, and a retry after that time must succeed.
    const seconds = BigInt(Math.max(1, Math.ceil(retryAfterMs / 1000)));
    const value = create(RetryInfoSchema, { retryDelay: { seconds, nanos: 0 } });
    error.details.push({ desc: RetryInfoSchema, value });
  }
  if (error.code === Code.Unauthenticated) {
    // RFC 6750 §3.1: no error code if the request had no credentials.
    const challenge = reason === "TOKEN_MISSING" ? undefined : "invalid_token";
    error.metadata.set("www-authenticate", bearerChallenge(errorDomain, challenge));
  }
  return error;
}

/** An INTERNAL error, which reveals only the id to find its cause in the log (ASVS 16.5.1). */
export function internalError(correlationId: string, cause: unknown): ConnectError {
  const message = `internal error, logged as ${correlationId}`;
  const error = withErrorInfo(Code.Internal, "INTERNAL", message, { correlation_id: correlationId });
  error.cause = cause;
  return error;
}

/**
 * Turns anything thrown into an error that callers may see. This is the last-resort handler (ASVS 16.5.4): unexpected
 * errors are logged, and the caller gets a correlation id.
 *
 * @param isStorageUnavailable whether an error means that the database is unreachable or overloaded.
 */
export function toPublicError(
  thrown: unknown,
  log: Log,
  isStorageUnavailable: (error: unknown) => boolean,
): ConnectError {
  if (thrown instanceof ConnectError) return thrown;
  if (thrown instanceof Refusal) return toConnectError(thrown);
  // The client disconnected before its write started.
  if (thrown instanceof Error && thrown.name === "AbortError") return ConnectError.from(thrown);
  if (isStorageUnavailable(thrown)) {
    log.error({ err: thrown }, "the database did not answer");
    return toConnectError(storageUnavailable());
  }
  const correlationId = randomUUID();
  log.error({ err: thrown, correlationId }, "a call failed unexpectedly");
  return internalError(correlationId, thrown);
}

function storageUnavailable(): Refusal {
  const message = "the service cannot reach its storage: try again";
  return new Refusal("STORAGE_UNAVAILABLE", message, { retryAfterMs: 1_000 });
}

/** The reason of an error, if it has an `ErrorInfo`. */
export function reasonOf(error: ConnectError): string | undefined {
  return error.findDetails(ErrorInfoSchema)[0]?.reason;
}

function withErrorInfo(code: Code, reason: Reason, message: string, metadata: Record<string, string>) {
  const value = create(ErrorInfoSchema, { reason, domain: errorDomain, metadata });
  return new ConnectError(message, code, undefined, [{ desc: ErrorInfoSchema, value }]);
}
