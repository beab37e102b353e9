export const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** RFC 9113 §6. */
export const types = {
  headers: 0x1,
  rstStream: 0x3,
  settings: 0x4,
  ping: 0x6,
  goaway: 0x7,
  continuation: 0x9,
};

export const endStream = 0x1;
export const endHeaders = 0x4;

/** Creates an HTTP/2 frame (RFC 9113 §4.1). */
export function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

export const settings = frame(types.settings, 0, 0, Buffer.alloc(0));

/** A header block (RFC 7541) for `GET http://localhost/`, without the dynamic table. */
export const getBlock = Buffer.concat([
  Buffer.from([0x82, 0x86, 0x84, 0x01, "localhost".length]),
  Buffer.from("localhost", "latin1"),
]);

/** Parses the complete frames in the received bytes. */
export function parseFrames(received: string): { type: number; streamId: number; payload: Buffer }[] {
  const bytes = Buffer.from(received, "latin1");
  const frames = [];
  let at = 0;
  while (at + 9 <= bytes.length) {
    const end = at + 9 + bytes.readUIntBE(at, 3);
    frames.push({
      type: bytes.readUInt8(at + 3),
      streamId: bytes.readUInt32BE(at + 5),
      payload: bytes.subarray(at + 9, end),
    });
    at = end;
  }
  return frames;
}
