import { describe, expect, it } from "vitest";
import { startTestApp } from "../../support/app.ts";
import { databaseUrlOf, holdDatabase } from "../../support/db/database.ts";
import { type Cut, cuts, startDatabaseProxy } from "../../support/db/database-proxy.ts";
import { outcomeOf, refusalOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/folder.ts";
import type { Caller } from "../../support/otp/purposes.ts";
import { isReady } from "../../support/process/process.ts";
import { openServers } from "../../support/servers.ts";
import { isSoak, rounds } from "../../support/soak.ts";
import { addPending, addUser } from "../../support/users.ts";
import { waitFor } from "../../support/wait-for.ts";

const unavailable = { code: "Unavailable", reason: "STORAGE_UNAVAILABLE", retryAfter: 1 };

async function startBehindProxy() {
  const databaseUrl = await databaseUrlOf(temporaryFolder());
  const proxy = await startDatabaseProxy(databaseUrl);
  const servers = await openServers({ databaseUrl });
  const server = await servers.start({ COUNTERSIGN_DATABASE_URL: proxy.url });
  const caller = servers.callerOf(server);
  await addUser(caller.users);
  return { proxy, servers, server, caller };
}

async function eventsOf({ users }: Caller, type: string): Promise<number> {
  const { events } = await users.listEvents({ userId: "u", pageSize: 100 });
  return events.filter((event) => event.type === type).length;
}

describe("F08 a connection that is cut", () => {
  it("around a commit leaves one row and one mail, if the call is repeated with its key", {
    timeout: 600_000,
  }, async () => {
    const { proxy, servers, caller } = await startBehindProxy();
    const { users } = caller;
    const times = rounds(3, 300);
    for (let round = 0; round < times; round++) {
      const cut = cuts[round % cuts.length] as Cut;
      const address = `mini-${round}@mouse.com`;
      const call = () =>
        users.addOTPEmail(
          { userId: "u", email: { address } },
          { headers: { "idempotency-key": `k${round}` } },
        );
      const done = proxy.cutOnce(cut, "insert into otp_emails");
      expect(await refusalOf(call())).toMatchObject(unavailable);
      await done;
      const first = await call();
      expect(await call()).toEqual(first);
      expect((await users.listOTPEmails({ userId: "u" })).otpEmails).toHaveLength(1);
      expect(await eventsOf(caller, "otp_email.added")).toBeGreaterThan(0);
      await waitFor("the mail", () => servers.relay.received.some(({ to }) => to.includes(address)));
      await users.removeOTPEmail({ userId: "u", otpEmailId: first.otpEmailId });
    }
    expect(servers.relay.received).toHaveLength(times);
  });

  const cases = cuts.flatMap((cut) =>
    [
      ['update "otp_emails" set "attempts"', false],
      ['"verify_time"', false],
      ['update "otp_emails" set "attempts"', true],
    ].map(([mark, isWrong]) => ({ cut, mark: String(mark), isWrong })),
  );

  it("at any commit of a verification: a code verifies once, a wrong one stays counted", async () => {
    const { proxy, caller } = await startBehindProxy();
    const { users } = caller;
    for (const { cut, mark, isWrong } of cases) {
      const { otpEmailId, code } = await addPending(users);
      const verify = (typed: string) =>
        outcomeOf(users.verifyOTPEmail({ userId: "u", otpEmailId, code: typed }));
      const before = await eventsOf(caller, "otp_email.verified");
      const done = proxy.cutOnce(cut, mark);
      expect(await verify(isWrong ? "00000000" : code)).toBe("STORAGE_UNAVAILABLE");
      await done;
      if (isWrong) {
        let wrong = 0;
        while ((await verify("00000000")) === "CODE_INVALID") wrong++;
        expect(wrong).toBe(cut === "before the commit" ? 5 : 4);
        await users.unlockOTPEmail({ userId: "u", otpEmailId });
      } else {
        expect(await verify(code)).toMatch(/^(OK|CODE_USED)$/);
        expect(await verify(code)).toBe("CODE_USED");
        expect(await eventsOf(caller, "otp_email.verified")).toBe(before + 1);
      }
      await users.removeOTPEmail({ userId: "u", otpEmailId });
    }
  });
});

describe("F08 a pool without a free connection", () => {
  it("refuses calls at their deadline, and serves them once connections are free", async () => {
    const test = await startTestApp();
    const users = await test.admin("gRPC");
    await addUser(users);
    const held = await holdDatabase(test.dataDir);
    // In a soak as long as the service waits by itself.
    const options = isSoak ? {} : { timeoutMs: 3_000 };
    const returned = { verification: { case: "returnCode", value: {} } } as const;
    const add = (i: number) => {
      const email = { address: `mini-${i}@mouse.com`, ...returned };
      return outcomeOf(users.addOTPEmail({ userId: "u", email }, options));
    };
    const outcomes = await Promise.all(Array.from({ length: rounds(40, 100) }, (_, i) => add(i)));
    expect(new Set(outcomes)).toEqual(new Set(["STORAGE_UNAVAILABLE"]));
    await held.release();
    expect(await add(100)).toBe("OK");
    // The calls that were refused are not done afterwards.
    expect((await users.listOTPEmails({ userId: "u" })).otpEmails).toHaveLength(1);
  });
});

describe("F38 a process that is cut off from the database", () => {
  it("refuses calls and isn't ready while other processes go on, and recovers", async () => {
    const { proxy, servers, server, caller } = await startBehindProxy();
    const other = await servers.start();
    const { users } = servers.callerOf(other);
    const { otpEmailId, code } = await addPending(users);
    proxy.isSilent = true;
    const verify = ({ users }: Caller, timeoutMs: number) =>
      users.verifyOTPEmail({ userId: "u", otpEmailId, code }, { timeoutMs });
    const silent = Array.from({ length: 300 }, () => outcomeOf(verify(caller, 9_000)));
    expect(new Set(await Promise.all(silent))).toEqual(new Set(["STORAGE_UNAVAILABLE"]));
    expect(await isReady(server)).toBe(false);
    expect(await isReady(other)).toBe(true);
    expect(await outcomeOf(verify(servers.callerOf(other), 9_000))).toBe("OK");
    // No call from the silence reached the database.
    expect(await outcomeOf(users.getOTPEmail({ userId: "u", otpEmailId }))).toBe("OK");
    proxy.isSilent = false;
    await waitFor("it to be ready again", () => isReady(server));
    expect(await outcomeOf(verify(caller, 9_000))).toBe("CODE_USED");
    // No connection from before is left to hold up a call.
    const calls = Array.from({ length: 50 }, () => outcomeOf(caller.users.listOTPEmails({ userId: "u" })));
    expect(new Set(await Promise.all(calls))).toEqual(new Set(["OK"]));
  });
});
