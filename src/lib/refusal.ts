/** The `domain` of every `google.rpc.ErrorInfo` (AIP-193). */
export const errorDomain = "countersign";

/** Reasons that callers branch on (AIP-193). They are part of the API: new ones may be added, none is renamed. */
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

export interface RefusalOptions {
  /** The path of the invalid field in the request, in proto spelling: `email.address`. */
  readonly field?: string | undefined;
  /** When the same call may succeed, in milliseconds from now. */
  readonly retryAfterMs?: number | undefined;
  /** For the log. Never shown to callers. */
  readonly cause?: unknown;
}

/**
 * An error that callers may see, independent of the protocol: `api/` turns it into a ConnectError, `pages/` into a page.
 *
 * The message says what to do next. It never contains a code, a token or a key.
 */
export class Refusal extends Error {
  override readonly name = "Refusal";
  readonly reason: Reason;
  readonly field: string | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(reason: Reason, message: string, { field, retryAfterMs, cause }: RefusalOptions = {}) {
    super(message, cause === undefined ? undefined : { cause });
    this.reason = reason;
    this.field = field;
    this.retryAfterMs = retryAfterMs;
  }
}
