import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";

/** An error, as clients see it. */
export interface Refusal {
  readonly code: keyof typeof Code;
  readonly reason: string | undefined;
  readonly domain: string | undefined;
  readonly message: string;
  readonly fields: readonly string[];
  /** Seconds, from RetryInfo. */
  readonly retryAfter: number | undefined;
  readonly headers: Headers;
}

/** The error of a call. Throws if the call succeeds. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  const error = await call.then(
    () => {
      throw new Error("the call succeeded");
    },
    (reason: unknown) => reason,
  );
  if (!(error instanceof ConnectError)) throw error;
  const info = error.findDetails(ErrorInfoSchema)[0];
  return {
    code: Code[error.code] as keyof typeof Code,
    reason: info?.reason,
    domain: info?.domain,
    message: error.rawMessage,
    fields: error.findDetails(BadRequestSchema).flatMap((b) => b.fieldViolations.map((v) => v.field)),
    retryAfter: error.findDetails(RetryInfoSchema).map((r) => Number(r.retryDelay?.seconds))[0],
    headers: error.metadata,
  };
}

/** The reason of the error of a call, or "OK". */
export async function outcomeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
    return "OK";
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    return error.findDetails(ErrorInfoSchema)[0]?.reason ?? `${Code[error.code]} without a reason`;
  }
}
