import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Log } from "../lib/log.ts";
import { type AnyRequest, methodName, principalKey } from "./call-context.ts";
import { reasonOf, toPublicError } from "./public-error.ts";

export interface LogCallsOptions {
  readonly log: Log;
  /** Called at the end of each call. By default, writes the call to the log. Must not throw. */
  readonly onCall?: (line: CallLine) => void;
  /** Whether an error means that the database is unreachable or overloaded. */
  readonly isStorageUnavailable: (error: unknown) => boolean;
  /** The name of the protocol, for the log. */
  readonly protocolOf: (request: AnyRequest) => string;
}

/** What is logged of a call. Never contains an email address, a code, a token or a key. */
export interface CallLine {
  /** `Service.Method`, or undefined for an unknown path. */
  readonly method: string | undefined;
  readonly protocol: string;
  /** Undefined if the call succeeded. */
  readonly error?: ConnectError | undefined;
  readonly durationMs: number;
  /** The subject of the token. */
  readonly subject?: string | undefined;
}

/** Writes one line per call to the log, also for calls that are refused before the interceptors. */
export function logCall(log: Log, { method, protocol, error, durationMs, subject }: CallLine): void {
  const code = codeName(error);
  const reason = error && reasonOf(error);
  log.info(
    { method, protocol, code, reason, durationMs: Math.round(durationMs * 1000) / 1000, subject },
    "call",
  );
}

/** The name of the status code, such as `NotFound` or `OK`. */
export function codeName(error: ConnectError | undefined): string {
  return error ? (Code[error.code] ?? "Unknown") : "OK";
}

/** Reports each call, and turns anything thrown into an error that callers may see. Must be the outermost interceptor. */
export function logCalls(options: LogCallsOptions): Interceptor {
  const { log, protocolOf, isStorageUnavailable, onCall = (line) => logCall(log, line) } = options;
  const toError = (thrown: unknown) => toPublicError(thrown, log, isStorageUnavailable);
  const report = (request: AnyRequest, start: number, error?: ConnectError) =>
    onCall({
      method: methodName(request),
      protocol: protocolOf(request),
      error,
      durationMs: performance.now() - start,
      subject: request.contextValues.get(principalKey)?.subject,
    });
  return (next) => async (request) => {
    const start = performance.now();
    try {
      const response = await next(request);
      if (response.stream) {
        const onEnd = (error?: ConnectError) => report(request, start, error);
        return { ...response, message: observeEnd(response.message, request.signal, onEnd, toError) };
      }
      report(request, start);
      return response;
    } catch (thrown) {
      const error = toError(thrown);
      report(request, start, error);
      throw error;
    }
  };
}

/** Passes the messages on, and calls `onEnd` once: when the stream ends or fails, or when the client disconnects. */
async function* observeEnd<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  onEnd: (error?: ConnectError) => void,
  toError: (thrown: unknown) => ConnectError,
): AsyncGenerator<T> {
  let hasEnded = false;
  const end = (error?: ConnectError) => {
    if (hasEnded) return;
    hasEnded = true;
    onEnd(error);
  };
  // A handler may ignore the signal, or return normally after it.
  const abort = () => end(ConnectError.from(signal.reason, Code.Canceled));
  signal.addEventListener("abort", abort);
  try {
    if (signal.aborted) abort();
    yield* messages;
    end();
  } catch (thrown) {
    const error = toError(thrown);
    end(error);
    throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    // If the consumer stopped reading early.
    end(new ConnectError("the client went away", Code.Canceled));
  }
}
