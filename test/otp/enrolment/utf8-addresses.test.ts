import { describe, expect, it } from "vitest";
import { startTestApp, type UserClient } from "../../support/app.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { startRelay, startScriptedRelay, startTap } from "../../support/mail/relay.ts";
import { waitFor } from "../../support/wait-for.ts";

const address = "δοκιμή@παράδειγμα.δοκιμή";
const minute = 60_000;
const canonical = "δοκιμή@xn--hxajbheg2az3al.xn--jxalpdlp";

/** Starts the service with a relay on this port and a user. */
async function start({ port }: { port: number }) {
  const test = await startTestApp({ environment: { COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${port}` } });
  const client = await test.admin();
  await client.createUser({ userId: "u", organization: { org: { case: "orgId", value: "o" } } });
  return {
    ...test,
    client,
    add: (address: string) => client.addOTPEmail({ userId: "u", email: { address } }),
  };
}

/** Adds an address once the service has learned what the relay supports. */
async function addWhenKnown(
  add: (address: string) => ReturnType<UserClient["addOTPEmail"]>,
  address: string,
) {
  return waitFor("the relay is asked", () => add(address).catch(() => undefined));
}

describe("an address beyond ASCII", () => {
  it("T21 is refused if no relay offers SMTPUTF8", async () => {
    const relay = await startScriptedRelay({});
    const test = await start(relay);
    await waitFor("the relay is asked", () => relay.bytes().includes("QUIT"));
    const refusal = await refusalOf(test.add(address));
    expect(refusal).toMatchObject({
      code: "InvalidArgument",
      reason: "EMAIL_INVALID",
      fields: ["email.address"],
      message: expect.stringMatching(/the mail system cannot reach this address/),
    });
    expect(relay.bytes()).not.toContain("MAIL");
    expect(await test.app.store.db.selectFrom("otp_emails").selectAll().execute()).toEqual([]);
  });

  it("is refused while the relay can't be reached", async () => {
    const test = await start({ port: 1 });
    expect(await outcomeOf(test.add(address))).toBe("EMAIL_INVALID");
  });

  it("T21 is mailed in its canonical form and verified if the relay offers SMTPUTF8", async () => {
    const relay = await startRelay();
    // The relay's own record shows domains as U-labels.
    const wire = await startTap(relay.port);
    const test = await start(wire);
    const { otpEmailId } = await addWhenKnown(test.add, address);
    const received = await waitFor("the mail", () => relay.received[0]);
    const commands = Buffer.from(wire.bytes(), "latin1")
      .toString("utf8")
      .match(/^(MAIL|RCPT).*$/gm);
    expect(commands).toEqual([
      expect.stringMatching(/^MAIL FROM:<countersign@dev\.example>.* SMTPUTF8/),
      `RCPT TO:<${canonical}>`,
    ]);
    const row = await test.app.store.db.selectFrom("otp_emails").selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ address, address_canonical: canonical });
    const code = /\b[0-9A-HJKMNP-TV-Z]{8}\b/.exec(received.raw.split("\r\n\r\n").slice(1).join())?.[0] ?? "";
    await test.client.verifyOTPEmail({ userId: "u", otpEmailId, code });
    const { users } = await test.client.listUsers({ emailAddress: address });
    expect(users.map(({ userId }) => userId)).toEqual(["u"]);
  });

  it("T22 is the same address in another case or normal form", async () => {
    const relay = await startRelay();
    const test = await start(relay);
    const { otpEmailId } = await addWhenKnown(test.add, "jürgen@x.io");
    for (const same of ["JÜRGEN@X.io", "ju\u0308rgen@x.io"]) {
      test.clock.move(minute);
      expect((await test.add(same)).otpEmailId, same).toBe(otpEmailId);
    }
  });

  it("T22 is never taken for a look-alike, and mail goes to the stored address", async () => {
    const relay = await startRelay();
    const test = await start(relay);
    const dotless = await addWhenKnown(test.add, "mıke@example.org");
    const { otpEmailId } = await test.add("mike@example.org");
    expect(dotless.otpEmailId).not.toBe(otpEmailId);
    test.clock.move(minute);
    expect((await test.add("MIKE@example.org")).otpEmailId).toBe(otpEmailId);
    for (const wrong of ["ｍike@example.org", "mike＠example.org", "mi\u212ae@example.org"]) {
      expect(await outcomeOf(test.add(wrong)), wrong).toBe("EMAIL_INVALID");
    }
    await waitFor("the mails", () => relay.received.length === 3);
    const recipients = relay.received.flatMap(({ to }) => to).sort();
    expect(recipients).toEqual(["mike@example.org", "mike@example.org", "mıke@example.org"]);
  });
});
