import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";

/** The reasons of errors that the wire itself creates. */
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
  /** The invalid fields, as paths of proto names. */
  readonly field?: string | readonly string[];
}

/**
 * Creates an error with ErrorInfo, and with BadRequest if it is about fields. The domain of ErrorInfo is added when the error is
 * sent, by `withErrorInfo`.
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

/** INVALID_ARGUMENT: the request violates its protocol. */
export function malformed(message: string, ...field: string[]): ConnectError {
  return wireError(Code.InvalidArgument, "REQUEST_MALFORMED", message, { field });
}

/** RESOURCE_EXHAUSTED: the message is larger than the limit. */
export function tooLarge(bytesMax: number): ConnectError {
  return wireError(
    Code.ResourceExhausted,
    "REQUEST_TOO_LARGE",
    `the message is too large: send at most ${bytesMax} bytes`,
  );
}

/** CANCELED: the client disconnected, so no one is waiting for the reply. */
export function canceled(): ConnectError {
  return wireError(Code.Canceled, "CANCELED", "the client went away");
}

/**
 * Turns anything that was thrown into a ConnectError with ErrorInfo. The reason defaults to the name of the code, the
 * domain to `domain`. Anything but a ConnectError becomes INTERNAL, without its message.
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
