import { Code, ConnectError, type Interceptor } from "@connectrpc/connect";
import type { Log } from "../lib/log.ts";
import { type AnyRequest, methodName, principalKey } from "./call-context.ts";
import { reasonOf, toPublicError } from "./public-error.ts";

export interface LogCallsOptions {
  readonly log: Log;
  /** Called for each call that has ended. It writes the line of the call to the log unless given. */
  readonly onCall?: (line: CallLine) => void;
  /** Whether an error says that the storage could not be reached, or was busy for too long. */
  readonly isStorageUnavailable: (error: unknown) => boolean;
  /** The protocol of a call, for the log. */
  readonly protocolOf: (request: AnyRequest) => string;
}

/** What is logged of a call. No address, code, token or key. */
export interface CallLine {
  /** `Service.Method`, or undefined where none was found. */
  readonly method: string | undefined;
  readonly protocol: string;
  /** Undefined if the call succeeded. */
  readonly error?: ConnectError;
  readonly durationMs: number;
  /** The subject of the token. */
  readonly subject?: string | undefined;
}

/** Writes the one line of a call, also of one that was refused before it reached the interceptors. */
export function logCall(log: Log, { method, protocol, error, durationMs, subject }: CallLine): void {
  const code = codeName(error);
  const reason = error && reasonOf(error);
  log.info(
    { method, protocol, code, reason, durationMs: Math.round(durationMs * 1000) / 1000, subject },
    "call",
  );
}

/** The name of the status code, such as `NotFound`, or `OK`. */
export function codeName(error: ConnectError | undefined): string {
  return error ? (Code[error.code] ?? "Unknown") : "OK";
}

/** Reports each call, and turns whatever is thrown into an error that callers may see. The outermost interceptor. */
export function logCalls(options: LogCallsOptions): Interceptor {
  const { log, protocolOf, isStorageUnavailable, onCall = (line) => logCall(log, line) } = options;
  return (next) => async (request) => {
    const start = performance.now();
    let isOver = false;
    const logEnd = (error?: ConnectError) => {
      if (isOver) return;
      isOver = true;
      onCall({
        method: methodName(request),
        protocol: protocolOf(request),
        error,
        durationMs: performance.now() - start,
        subject: request.contextValues.get(principalKey)?.subject,
      });
    };
    const fail = (thrown: unknown) => {
      const error = toPublicError(thrown, log, isStorageUnavailable);
      logEnd(error);
      return error;
    };
    try {
      const response = await next(request);
      if (response.stream)
        return { ...response, message: untilEnd(response.message, request.signal, logEnd, fail) };
      logEnd();
      return response;
    } catch (thrown) {
      throw fail(thrown);
    }
  };
}

/** A stream is over when it has ended or failed, or the client is gone. */
async function* untilEnd<T>(
  messages: AsyncIterable<T>,
  signal: AbortSignal,
  logEnd: (error?: ConnectError) => void,
  fail: (thrown: unknown) => ConnectError,
): AsyncGenerator<T> {
  // A handler may not notice the signal, or may return as if nothing had happened.
  const stop = () => logEnd(ConnectError.from(signal.reason, Code.Canceled));
  signal.addEventListener("abort", stop);
  try {
    if (signal.aborted) stop();
    yield* messages;
    logEnd();
  } catch (thrown) {
    throw fail(thrown);
  } finally {
    signal.removeEventListener("abort", stop);
    // Does nothing after a stream that has ended by itself.
    logEnd(new ConnectError("the client went away", Code.Canceled));
  }
}
