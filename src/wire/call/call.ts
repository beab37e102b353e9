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

/** The protocol of a call, for interceptors: "connect", "grpc", "grpc-web" or "rest". */
export const protocolName = createContextKey("", { description: "protocol of the call" });
/** The remote address of the socket, for interceptors. */
export const peerAddress = createContextKey<string | undefined>(undefined, { description: "peer address" });

/** Tells whether a call was stopped early: by its deadline, a disconnect of the client, or a shutdown. */
export interface CallEnd {
  readonly isStopped: boolean;
  /** Milliseconds until the deadline. Undefined if there is none, or if it isn't known. */
  timeoutMs?(): number | undefined;
}

/** For interceptors. Checking it is free, whereas reading `signal` creates an AbortSignal. */
export const callEnd = createContextKey<CallEnd>({ isStopped: false }, { description: "end of the call" });

/** The longest delay of a timer, 24 days. A longer deadline is ignored. */
export const timeoutMsMax = 2 ** 31 - 1;

export interface CallEnds {
  readonly shutdownSignal?: AbortSignal | undefined;
  readonly running: Set<Call>;
}

/**
 * One call, from its headers to its reply, and what can stop it early: its deadline, a disconnect of the client, or a
 * shutdown.
 *
 * Its AbortSignal is created when it is first read, because aborting one after each call is expensive
 * (docs/performance.md).
 */
export class Call implements CallEnd {
  readonly requestHeader: Headers;
  readonly responseHeader = new Headers();
  readonly responseTrailer = new Headers();
  readonly requestMethod: string;
  readonly url: string;
  readonly values: ContextValues;
  readonly protocol: string;
  /** Whether the client has disconnected. */
  isGone = false;
  isStopped = false;
  /** Why the call was stopped. */
  reason: unknown;
  /** Called once, when the call is stopped. There is only one waiter at a time. */
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
    this.values = createContextValues()
      .set(protocolName, protocol)
      .set(peerAddress, peerAddressOf(request))
      .set(callEnd, this);
  }

  /** Starts watching for what can stop the call. @param timeoutMs undefined for no deadline, 0 or less if it has passed */
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

  /** Stops the call early. Does nothing once it is over. */
  stop(reason: unknown): void {
    if (this.isStopped || this.#isOver) return;
    this.isStopped = true;
    this.reason = reason;
    this.#controller?.abort(reason);
    this.onStop?.(reason);
  }

  /** Ends the call: the reply is ready, and anything else the method has started is aborted. */
  end({ running }: CallEnds): void {
    this.#isOver = true;
    this.onStop = undefined;
    clearTimeout(this.#timer);
    if (running.size > 0) running.delete(this);
    this.#response.off("close", this.#gone);
    this.#controller?.abort();
  }

  /** Milliseconds until the deadline. Undefined without one. */
  timeoutMs(): number | undefined {
    return this.#deadlineMs === undefined ? undefined : this.#deadlineMs - Date.now();
  }

  /** Aborts when the call is over, for whatever reason. */
  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.isStopped) this.#controller.abort(this.reason);
      else if (this.#isOver) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** Settles like `outcome`, or rejects as soon as the call is stopped, even if `outcome` never settles. */
  untilStopped<T>(outcome: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.isStopped) reject(this.reason);
      this.onStop = reject;
      outcome.then(resolve, reject);
    });
  }
}
