import fc from "fast-check";

/** Any Unicode character. Unlike `unit: "binary"` of fast-check, it doesn't take seconds to create. */
export const codePoint = fc
  .integer({ min: 0, max: 0x10ffff - 0x800 })
  .map((code) => String.fromCodePoint(code < 0xd800 ? code : code + 0x800));
