/** Limits that apply before a handler is called. */
export interface HttpLimits {
  /** Request line and header fields, in bytes. For HTTP/2, the uncompressed header list. */
  readonly headerBytesMax: number;
  /** The request target, in bytes. RFC 9110 §4.1 recommends at least 8000. */
  readonly targetBytesMax: number;
  /** Time to receive the headers of a request, the HTTP/2 preface, or the TLS handshake. */
  readonly headersTimeoutMs: number;
  /** Time to receive a request including its body. */
  readonly requestTimeoutMs: number;
  /** Time until an idle HTTP/1 connection is closed, or any client that doesn't read its response. */
  readonly idleTimeoutMs: number;
  /** Time until an HTTP/2 connection without streams is closed. */
  readonly sessionIdleMs: number;
  /** Open connections of the server. Further ones are closed on arrival. */
  readonly connectionsMax: number;
  /** Concurrent requests per connection: HTTP/2 streams, or pipelined HTTP/1 requests. */
  readonly streamsMax: number;
  /** HTTP/2 requests that a client may reset before it has the reply: at once, and in the long run. */
  readonly resetsBurst: number;
  readonly resetsPerSecond: number;
}

export const defaultLimits: HttpLimits = {
  headerBytesMax: 16_384,
  targetBytesMax: 8_192,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  sessionIdleMs: 300_000,
  connectionsMax: 10_000,
  streamsMax: 100,
  resetsBurst: 500,
  resetsPerSecond: 200,
};

/** How long a client has to read the last bytes before its connection is destroyed (RFC 9112 §9.6). */
export const lingerMs = 1_000;

/** How often the timeouts are checked: at least four times within the shortest one. */
export function checkIntervalMs(limits: HttpLimits): number {
  return Math.min(5_000, Math.ceil(Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs) / 4));
}
