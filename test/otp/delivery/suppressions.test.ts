import { describe, expect, it } from "vitest";
import { createKeyRing } from "../../../src/otp/codes/keys.ts";
import {
  isAboutAddress,
  isSuppressed,
  refusedAddressStatus,
  releaseAddress,
  suppressRecipient,
} from "../../../src/otp/delivery/suppressions.ts";
import { MovableClock } from "../../support/clock.ts";
import { openMailStore } from "../../support/mail/rows.ts";

const day = 86_400_000;
const keyOf = (id: string) => ({ id, secret: Buffer.alloc(32, id) });
const first = { otp_email_id: "1", address_canonical: "a1@x.io" };
const second = { otp_email_id: "2", address_canonical: "a2@x.io" };

async function setUp() {
  const clock = new MovableClock();
  const { store } = await openMailStore(clock.now(), 2);
  const context = { store, clock, keys: createKeyRing([keyOf("a")]) };
  const hit = (address = first, keys = context.keys) =>
    store.write((trx) =>
      suppressRecipient(trx, { ...context, keys }, address, { status: "5.1.1", source: "notification" }),
    );
  return { ...context, context, hit };
}

describe("a suppressed address", () => {
  it("is suppressed for 1 day, then 7, then 30, without any other address", async () => {
    const { context, clock, hit } = await setUp();
    expect(await isSuppressed(context, first)).toBe(false);
    for (const days of [1, 7, 30, 30]) {
      await hit();
      clock.move(days * day - 1);
      expect(await isSuppressed(context, first)).toBe(true);
      expect(await isSuppressed(context, second)).toBe(false);
      clock.move(1);
      expect(await isSuppressed(context, first)).toBe(false);
    }
  });

  it("is not suppressed longer for mails from before the suppression", async () => {
    const { context, clock, hit } = await setUp();
    await Promise.all(Array.from({ length: 10 }, () => hit()));
    clock.move(day - 1);
    await hit();
    clock.move(1);
    expect(await isSuppressed(context, first)).toBe(false);
  });

  it("starts again with one day after 90 days without a bounce", async () => {
    const { context, clock, hit } = await setUp();
    await hit();
    clock.move(91 * day);
    await hit();
    clock.move(day);
    expect(await isSuppressed(context, first)).toBe(false);
  });

  it("is found under a new key, counted once, and released completely", async () => {
    const { context, store, clock, hit } = await setUp();
    const keys = createKeyRing([keyOf("b"), keyOf("a")]);
    await hit();
    expect(await isSuppressed({ ...context, keys }, first)).toBe(true);
    clock.move(day);
    await hit(first, keys);
    expect(await store.db.selectFrom("suppressions").selectAll().execute()).toMatchObject([{ count: 2 }]);
    const release = () => store.write((trx) => releaseAddress(trx, keys, "a1@x.io"));
    expect([await release(), await release()]).toEqual([true, false]);
    expect(await isSuppressed({ ...context, keys }, first)).toBe(false);
  });

  it("stays suppressed without its authenticator, and is not stored in plain text", async () => {
    const { context, store, hit } = await setUp();
    await hit();
    expect(JSON.stringify(await store.db.selectFrom("suppressions").selectAll().execute())).not.toContain(
      "x.io",
    );
    await store.write((trx) => trx.deleteFrom("otp_emails").where("otp_email_id", "=", "1").execute());
    expect(await isSuppressed(context, first)).toBe(true);
  });
});

describe("isAboutAddress", () => {
  it.each([
    ["5.1.1", true],
    ["5.1.0", true],
    ["5.1.2", true],
    ["5.1.3", true],
    ["5.1.6", true],
    ["5.1.10", true],
    ["5.2.0", true],
    ["5.2.1", true],
    ["5.2.2", true],
    ["5.4.1", true],
    ["5.4.4", true],
    ["5.4.310", true],
    ["5.0.0", true],
    ["5.1.7", false],
    ["5.1.8", false],
    ["5.1.9", false],
    ["5.2.3", false],
    ["5.3.4", false],
    ["5.5.2", false],
    ["5.6.0", false],
    ["5.7.1", false],
    ["5.7.26", false],
    ["4.1.1", false],
    ["2.1.5", false],
    ["5.1", false],
    ["5.1.1 ", false],
    ["5.1.1111", false],
    ["", false],
  ])("%s: %s", (status, expected) => {
    expect(isAboutAddress(status)).toBe(expected);
  });
});

describe("refusedAddressStatus", () => {
  it.each([
    ["550 5.1.1 rcpt", "5.1.1"],
    ["553 5.1.3 rcpt", "5.1.3"],
    ["556 5.1.10 rcpt", "5.1.10"],
    ["550 5.2.1 rcpt", "5.2.1"],
    ["550 5.1.8 rcpt", undefined],
    ["552 5.2.2 rcpt", undefined],
    ["554 5.4.4 rcpt", undefined],
    ["550 5.0.0 rcpt", undefined],
    ["550 5.7.1 rcpt", undefined],
    ["550 rcpt", undefined],
    ["550 5.1.1 mail", undefined],
    ["550 5.1.1 data", "5.1.1"],
    ["554 5.7.1 data", undefined],
    ["550 data", undefined],
    ["450 4.1.1 rcpt", undefined],
    ["compose", undefined],
    [null, undefined],
  ])("%s: %s", (reason, expected) => {
    expect(refusedAddressStatus(reason)).toBe(expected);
  });
});
