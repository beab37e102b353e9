import {
  Code,
  ConnectError,
  type ContextValues,
  createContextKey,
  createContextValues,
} from "@connectrpc/connect";
import { LazyHeaders } from "./lazy-headers.ts";
import { type NodeRequest, type NodeResponse, peerAddressOf, urlOf } from "./node-http.ts";
import { canceled } from "./wire-error.ts";

/** The protocol of a call: "connect", "grpc", "grpc-web" or "rest". For interceptors. */
export const protocolName = createContextKey("", { description: "protocol of the call" });
/** The address at the other end of the socket. For interceptors. */
export const peerAddress = createContextKey<string | undefined>(undefined, { description: "peer address" });

/** Whether a call was ended before its time: by its deadline, its client, or the end of the service. */
export interface CallEnd {
  readonly isStopped: boolean;
  /** Milliseconds to the deadline. Undefined without one, or where it is not known. */
  timeoutMs?(): number | undefined;
}

/** To ask it costs nothing, unlike a signal. For interceptors. */
export const callEnd = createContextKey<CallEnd>({ isStopped: false }, { description: "end of the call" });

/** Timers count to this. A deadline beyond it, of 24 days, is none. */
export const timeoutMsMax = 2 ** 31 - 1;

/** Has what values can do. connect makes these functions for each call anew. */
const valuesPrototype = createContextValues();

export interface CallEnds {
  readonly shutdownSignal?: AbortSignal | undefined;
  readonly running: Set<Call>;
}

/**
 * One unary call from its first header to its reply: what it says, and what ends it before its time, which is the
 * deadline, the client's going away, or the end of the service.
 *
 * An AbortSignal is made if somebody asks for it: one that is aborted after each call costs as much as all the rest.
 */
export class Call implements CallEnd {
  readonly requestHeader: Headers;
  readonly responseHeader: Headers = new LazyHeaders();
  readonly responseTrailer: Headers = new LazyHeaders();
  readonly requestMethod: string;
  readonly url: string;
  readonly values: ContextValues;
  readonly protocol: string;
  /** Whether the client is no longer there. */
  isGone = false;
  /** Whether it was ended before its time. */
  isStopped = false;
  /** Why. */
  reason: unknown;
  /** Called once, if the call is ended before its time. There is one waiter at a time. */
  onStop: ((reason: unknown) => void) | undefined;

  readonly #response: NodeResponse;
  readonly #gone = () => {
    this.isGone = true;
    this.stop(canceled());
  };
  #controller: AbortController | undefined;
  #deadlineMs: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(request: NodeRequest, response: NodeResponse, protocol: string) {
    this.#response = response;
    this.protocol = protocol;
    this.requestHeader = new LazyHeaders(request.rawHeaders);
    this.requestMethod = request.method ?? "POST";
    this.url = urlOf(request);
    const values: ContextValues = Object.create(valuesPrototype);
    this.values = values
      .set(protocolName, protocol)
      .set(peerAddress, peerAddressOf(request))
      .set(callEnd, this);
  }

  /** Starts to listen for its ends. @param timeoutMs undefined for no deadline; 0 or less for one that has passed */
  begin(timeoutMs: number | undefined, { shutdownSignal, running }: CallEnds): void {
    this.#response.on("close", this.#gone);
    if (shutdownSignal) {
      running.add(this);
      if (shutdownSignal.aborted) this.stop(shutdownSignal.reason);
    }
    if (timeoutMs === undefined || timeoutMs > timeoutMsMax) return;
    const late = () => this.stop(new ConnectError("the operation timed out", Code.DeadlineExceeded));
    this.#deadlineMs = Date.now() + timeoutMs;
    if (timeoutMs <= 0) late();
    else this.#timer = setTimeout(late, timeoutMs);
  }

  /** Ends it before its time. Nothing happens if it is over. */
  stop(reason: unknown): void {
    if (this.isStopped || this.#isOver) return;
    this.isStopped = true;
    this.reason = reason;
    this.#controller?.abort(reason);
    this.onStop?.(reason);
  }

  /** The reply is there, and nobody waits for anything else that the call has begun. */
  end({ running }: CallEnds): void {
    this.#isOver = true;
    this.onStop = undefined;
    clearTimeout(this.#timer);
    if (running.size > 0) running.delete(this);
    this.#response.off("close", this.#gone);
    this.#controller?.abort();
  }

  /** Milliseconds left. Undefined without a deadline. */
  timeoutMs(): number | undefined {
    return this.#deadlineMs === undefined ? undefined : this.#deadlineMs - Date.now();
  }

  /** Aborts when the call is over, whatever the reason. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.isStopped) this.#controller.abort(this.reason);
      else if (this.#isOver) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Waits for an outcome, but no longer than the call lasts, whether or not whoever works on it notices. */
  untilStopped<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.isStopped) reject(this.reason);
      this.onStop = reject;
      outcome.then(resolve, reject);
    });
  }
}
