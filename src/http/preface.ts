import type { Socket } from "node:net";

/** The first bytes of an HTTP/2 connection (RFC 9113 §3.4). No HTTP/1 request starts like this. */
const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/**
 * Detects the HTTP version of a new connection from its first bytes, and puts them back.
 *
 * Calls `decided` at most once, with the socket paused. Destroys a connection that is undecided after `timeoutMs`, or that
 * the client closes before.
 */
export function readPreface(socket: Socket, timeoutMs: number, decided: (isHttp2: boolean) => void): void {
  let head: Buffer = Buffer.alloc(0);
  const timer = setTimeout(() => socket.destroy(), timeoutMs);
  const stop = () => {
    clearTimeout(timer);
    socket.off("data", read).off("end", end).off("close", stop);
  };
  const end = () => socket.destroy();
  const read = (chunk: Buffer) => {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    const length = Math.min(head.length, preface.length);
    const isHttp2 = head.compare(preface, 0, length, 0, length) === 0;
    if (isHttp2 && length < preface.length) return;
    stop();
    socket.pause();
    socket.unshift(head);
    decided(isHttp2);
  };
  socket.on("data", read).on("end", end).on("close", stop);
}
