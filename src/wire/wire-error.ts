import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** Why the wire itself refuses a request. */
export type WireReason =
  | "REQUEST_MALFORMED"
  | "REQUEST_TOO_LARGE"
  | "ROUTE_NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "MEDIA_TYPE_UNSUPPORTED"
  | "UNIMPLEMENTED"
  | "DEADLINE_EXCEEDED"
  | "CANCELED"
  | "INTERNAL";

const domain = "countersign";

/** An error of the wire, with ErrorInfo, and BadRequest where fields are to blame. */
export function wireError(
  code: Code,
  reason: WireReason,
  message: string,
  ...fields: string[]
): ConnectError {
  const error = new ConnectError(message, code);
  error.details.push({ desc: ErrorInfoSchema, value: { reason, domain } });
  if (fields.length > 0) {
    const fieldViolations = fields.map((field) => ({ field, description: message, reason }));
    error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  return error;
}

/** INVALID_ARGUMENT: the request is not what its protocol says it must be. */
export function malformed(message: string, ...fields: string[]): ConnectError {
  return wireError(Code.InvalidArgument, "REQUEST_MALFORMED", message, ...fields);
}

/**
 * Gives anything that was thrown the shape in which every error leaves: a ConnectError with ErrorInfo. What was not
 * thrown to be told becomes INTERNAL, without its words.
 */
export function withErrorInfo(thrown: unknown): ConnectError {
  if (!(thrown instanceof ConnectError)) {
    const error = wireError(Code.Internal, "INTERNAL", "internal error");
    error.cause = thrown;
    return error;
  }
  if (thrown.findDetails(ErrorInfoSchema).length === 0) {
    const reason =
      reasons[thrown.code] ?? Code[thrown.code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
    thrown.details.push({ desc: ErrorInfoSchema, value: { reason, domain } });
  }
  return thrown;
}

const reasons: Partial<Record<Code, WireReason>> = {
  [Code.InvalidArgument]: "REQUEST_MALFORMED",
  [Code.ResourceExhausted]: "REQUEST_TOO_LARGE",
};
