import { describe, expect, it } from "vitest";
import { createKeyRing } from "../../../src/otp/codes/keys.ts";
import { makeMailHandle } from "../../../src/otp/codes/mail-handle.ts";
import { bounceLocalPartMax, makeReturnPath, readReturnPath } from "../../../src/otp/codes/return-path.ts";

const keyOf = (id: string) => ({ id, secret: Buffer.alloc(32, id) });
const keys = createKeyRing([keyOf("a")]);
const mailId = "163840776835432705";
const path = makeReturnPath(keys, "bounces@example.com", mailId);

describe("a return path", () => {
  it("matches the known answer", () => {
    expect(path).toBe("bounces+163840776835432705-357dc6a64fad20989a00@example.com");
    expect(readReturnPath(keys, path)).toBe(mailId);
  });

  it("fits into a local part of 64 octets with the longest id and mailbox", () => {
    const longest = `${"b".repeat(bounceLocalPartMax)}@example.com`;
    const made = makeReturnPath(keys, longest, "9223372036854775807");
    expect(made.lastIndexOf("@")).toBe(64);
    expect(readReturnPath(keys, made)).toBe("9223372036854775807");
  });

  it.each([
    ["in capitals", path.toUpperCase()],
    ["at another domain", path.replace("example.com", "mx.example.net")],
  ])("is read %s, as servers rewrite it", (_, rewritten) => {
    expect(readReturnPath(keys, rewritten)).toBe(mailId);
  });

  it("is read under an older key, and under no other", () => {
    expect(readReturnPath(createKeyRing([keyOf("b"), keyOf("a")]), path)).toBe(mailId);
    expect(readReturnPath(createKeyRing([keyOf("b")]), path)).toBeUndefined();
  });

  const mac = path.slice(path.indexOf("-") + 1, path.indexOf("@"));
  it.each([
    ["with the id of another mail", path.replace(mailId, "163840776835432706")],
    [
      "with another MAC",
      path.replace(
        mac,
        mac.replace(/^./, (c) => (c === "0" ? "1" : "0")),
      ),
    ],
    ["with half of its MAC", path.replace(mac, mac.slice(0, 10))],
    ["with a longer MAC", path.replace(mac, `${mac}00`)],
    ["without a MAC", `bounces+${mailId}@example.com`],
    ["with a name instead of an id", `bounces+x-${mac}@example.com`],
    ["with an id beyond 63 bits", `bounces+9999999999999999999-${mac}@example.com`],
    ["without an id and a MAC", "bounces@example.com"],
    ["if it is empty", ""],
    ["with the MAC of a mail handle", `bounces+${mailId}-${handleMac()}@example.com`],
  ])("is rejected %s", (_, forged) => {
    expect(readReturnPath(keys, forged)).toBeUndefined();
  });
});

function handleMac(): string {
  const mac = makeMailHandle(keys, { purpose: "login", challengeId: mailId }).split("~").at(-1) ?? "";
  return Buffer.from(mac, "base64url").subarray(0, 10).toString("hex");
}
