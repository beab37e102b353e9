import type { DescMethod } from "@bufbuild/protobuf";
import type { ConnectError, Interceptor } from "@connectrpc/connect";
import type { Call } from "./call.ts";

/** What both engines need to serve calls. */
export interface EngineOptions {
  readonly interceptors: Interceptor[];
  /** The largest message in bytes, also after decompression. */
  readonly messageBytesMax: number;
  /** The `domain` of ErrorInfo for errors that don't name one. */
  readonly errorDomain: string;
  /** Stops running calls when it aborts. */
  readonly shutdownSignal?: AbortSignal | undefined;
  /** The calls to stop then. */
  readonly running: Set<Call>;
  /** Called for requests that fail before the interceptors run. Must not throw. */
  readonly onRefused?: ((refused: RefusedRequest) => void) | undefined;
}

/** A request that failed before the interceptors ran. */
export interface RefusedRequest {
  /** Undefined if the request matches no method. */
  readonly method: DescMethod | undefined;
  readonly protocol: string;
  readonly error: ConnectError;
  readonly durationMs: number;
}
