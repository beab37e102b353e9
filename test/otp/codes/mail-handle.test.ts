import { createHmac } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createKeyRing } from "../../../src/otp/codes/keys.ts";
import {
  claimedPurpose,
  type MailHandle,
  makeMailHandle,
  readMailHandle,
} from "../../../src/otp/codes/mail-handle.ts";

const key = { id: "k.1-a_b", secret: Buffer.alloc(32, 7) };
const other = { id: "k2", secret: Buffer.alloc(32, 8) };
const keys = createKeyRing([key]);
const codeSalt = Buffer.alloc(16, 9).toString("base64url");
const enrolment: MailHandle = { purpose: "enrolment", otpEmailId: "1574939481964544000", codeSalt };
const login: MailHandle = { purpose: "login", challengeId: "1574939481964544001" };

describe("a mail handle", () => {
  it.each([enrolment, login])("round-trips: %s", (handle) => {
    const text = makeMailHandle(keys, handle);
    expect(readMailHandle(keys, text)).toEqual(handle);
    expect(claimedPurpose(text)).toBe(handle.purpose);
    // It is short, and needs no escaping in URLs and HTML.
    expect(text).toMatch(/^[\w.~-]{1,120}$/);
  });

  it("matches the known answer", () => {
    const part = (text: string) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(text.length);
      return Buffer.concat([length, Buffer.from(text)]);
    };
    const bytes = ["countersign/mail-handle/v1/login", "1574939481964544001"].map(part);
    const mac = createHmac("sha256", key.secret).update(Buffer.concat(bytes)).digest().subarray(0, 16);
    expect(makeMailHandle(keys, login)).toBe(
      `login~k.1-a_b~1574939481964544001~${mac.toString("base64url")}`,
    );
  });

  it("is read under every key of the ring, and under no other", () => {
    const text = makeMailHandle(keys, enrolment);
    expect(readMailHandle(createKeyRing([other, key]), text)).toEqual(enrolment);
    expect(readMailHandle(createKeyRing([other]), text)).toBeUndefined();
    expect(readMailHandle(createKeyRing([{ ...key, secret: other.secret }]), text)).toBeUndefined();
  });

  it("is rejected with a character changed, added or removed", () => {
    for (const handle of [enrolment, login]) {
      const text = makeMailHandle(keys, handle);
      for (let at = 0; at < text.length; at++) {
        for (const character of ["A", "B", "1", "2", "~", ""]) {
          if (character === text[at]) continue;
          const forged = text.slice(0, at) + character + text.slice(at + 1);
          expect(readMailHandle(keys, forged), forged).toBeUndefined();
        }
      }
      for (const forged of [`${text}~`, `${text}A`, ` ${text}`, `~${text}`, text.toUpperCase()]) {
        expect(readMailHandle(keys, forged), forged).toBeUndefined();
      }
    }
  });

  it.each([
    "",
    "~",
    "~~~~",
    "login~k.1-a_b",
    "login~k.1-a_b~1~",
    "enrolment~k.1-a_b~1~2~3~4~5",
    "\u0000~é~1",
  ])("is not read from %j", (text) => expect(readMailHandle(keys, text)).toBeUndefined());

  it("is rejected under the other purpose", () => {
    const [, ...rest] = makeMailHandle(keys, login).split("~");
    expect(readMailHandle(keys, ["enrolment", ...rest].join("~"))).toBeUndefined();
    const [, ...more] = makeMailHandle(keys, enrolment).split("~");
    expect(readMailHandle(keys, ["login", ...more].join("~"))).toBeUndefined();
  });
});
