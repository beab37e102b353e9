/** What one client, or all of them, can ask of the server before any handler is called. */
export interface HttpLimits {
  /** Request line and header fields together, in bytes; on HTTP/2 the uncompressed header list. */
  readonly headerBytesMax: number;
  /** The request target alone, in bytes (RFC 9110 §4.1 asks for 8000 at least). */
  readonly targetBytesMax: number;
  /** From the start of a connection, or of a message, to the end of its header; for TLS, of the handshake. */
  readonly headersTimeoutMs: number;
  /** From the start of a request to the end of its body. */
  readonly requestTimeoutMs: number;
  /** An HTTP/1 connection without a request; on both versions, a client that does not take its reply. */
  readonly idleTimeoutMs: number;
  /** An HTTP/2 connection without a stream. */
  readonly sessionIdleMs: number;
  /** Open connections of the process. Further ones are closed as they come. */
  readonly connectionsMax: number;
  /** Requests at the same time on one connection: streams of HTTP/2, pipelined requests of HTTP/1. */
  readonly streamsMax: number;
  /** Requests that a client of HTTP/2 resets before it has their replies: at once, and in the long run. */
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

/** A client that has been told that its connection ends has this long to take the last bytes (RFC 9112 §9.6). */
export const lingerMs = 1_000;

/** How often connections are held to the limits: at least four times within the shortest. */
export function checkIntervalMs(limits: HttpLimits): number {
  return Math.min(5_000, Math.ceil(Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs) / 4));
}
