import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";

/** Why the wire itself refuses a request. */
export type WireReason =
  | "REQUEST_MALFORMED"
  | "REQUEST_TOO_LARGE"
  | "ROUTE_NOT_FOUND"
  | "METHOD_NOT_ALLOWED"
  | "MEDIA_TYPE_UNSUPPORTED"
  | "NOT_ACCEPTABLE"
  | "DEADLINE_EXCEEDED"
  | "CANCELED"
  | "UNIMPLEMENTED"
  | "UNAVAILABLE"
  | "INTERNAL";

export interface WireErrorOptions {
  /** The fields to blame, by their paths in proto spelling. */
  readonly field?: string | readonly string[];
}

/**
 * An error of the wire: always with ErrorInfo, and with BadRequest where fields are to blame. The domain is put in
 * where the error leaves: by `withErrorInfo`.
 */
export function wireError(
  code: Code,
  reason: WireReason,
  message: string,
  { field = [] }: WireErrorOptions = {},
): ConnectError {
  const error = new ConnectError(message, code);
  error.details.push({ desc: ErrorInfoSchema, value: { reason } });
  const fields = typeof field === "string" ? [field] : field;
  if (fields.length > 0) {
    const fieldViolations = fields.map((path) => ({ field: path, description: message, reason }));
    error.details.push({ desc: BadRequestSchema, value: create(BadRequestSchema, { fieldViolations }) });
  }
  return error;
}

/** INVALID_ARGUMENT: the request is not what its protocol says it must be. */
export function malformed(message: string, ...field: string[]): ConnectError {
  return wireError(Code.InvalidArgument, "REQUEST_MALFORMED", message, { field });
}

/** RESOURCE_EXHAUSTED: the request is longer than the service reads. */
export function tooLarge(bytesMax: number): ConnectError {
  return wireError(
    Code.ResourceExhausted,
    "REQUEST_TOO_LARGE",
    `the message is too large: send at most ${bytesMax} bytes`,
  );
}

/** CANCELED: nobody waits for the answer any more. */
export function canceled(): ConnectError {
  return wireError(Code.Canceled, "CANCELED", "the client went away");
}

/**
 * Gives anything that was thrown the shape in which every error leaves: a ConnectError with ErrorInfo, whose reason is
 * the name of the code if it has none, and whose domain is `domain` if it says none. What was not thrown to be told
 * becomes INTERNAL, without its words.
 */
export function withErrorInfo(thrown: unknown, domain: string): ConnectError {
  if (!(thrown instanceof ConnectError)) {
    const error = withErrorInfo(wireError(Code.Internal, "INTERNAL", "internal error"), domain);
    error.cause = thrown;
    return error;
  }
  const infos = thrown.findDetails(ErrorInfoSchema);
  if (infos.length === 0) {
    const reason = upperSnake(Code[thrown.code]);
    thrown.details.push({ desc: ErrorInfoSchema, value: { reason, domain } });
  } else if (infos.some((info) => info.domain === "")) {
    thrown.details = thrown.details.map((detail) => inDomain(detail, domain));
  }
  return thrown;
}

type Detail = ConnectError["details"][number];

function inDomain(detail: Detail, domain: string): Detail {
  if (!("desc" in detail) || detail.desc.typeName !== ErrorInfoSchema.typeName) return detail;
  const info = create(ErrorInfoSchema, detail.value as MessageInitShape<typeof ErrorInfoSchema>);
  return { desc: ErrorInfoSchema, value: { ...info, domain: info.domain || domain } };
}

/** `FailedPrecondition` as `FAILED_PRECONDITION`. */
function upperSnake(name: string): string {
  return name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
