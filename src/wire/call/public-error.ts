import { Code, ConnectError } from "@connectrpc/connect";
import type { Call } from "./call.ts";
import type { EngineOptions } from "./engine-options.ts";
import { wireError, withErrorInfo } from "./wire-error.ts";

/** The error that the caller sees when a call has thrown. */
export function toPublicError(thrown: unknown, call: Call, { errorDomain }: EngineOptions): ConnectError {
  return withErrorInfo(call.isStopped && thrown === call.reason ? stopError(thrown) : thrown, errorDomain);
}

/** The error that the caller sees when a call was stopped, by the reason it was stopped for. */
export function stopError(reason: unknown): unknown {
  if (!(reason instanceof ConnectError))
    return wireError(Code.Unavailable, "UNAVAILABLE", "the service is shutting down: send the call again");
  if (reason.code !== Code.DeadlineExceeded) return reason;
  return wireError(
    Code.DeadlineExceeded,
    "DEADLINE_EXCEEDED",
    "the deadline of the call has passed: allow more time",
  );
}
