import type { ConnectError } from "@connectrpc/connect";
import { RetryInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";

/** The Retry-After value for an error with RetryInfo, in seconds, rounded up (RFC 9110 §10.2.3). */
export function retryAfter(error: ConnectError): number | undefined {
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay && Number(delay.seconds) + (delay.nanos > 0 ? 1 : 0);
}
