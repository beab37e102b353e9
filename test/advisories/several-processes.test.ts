import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { openStore } from "../../src/db/store.ts";
import { engine } from "../support/db/database.ts";
import { outcomeOf } from "../support/errors.ts";
import type { OnEnd } from "../support/folder.ts";
import { audience, type Caller, login, purposes } from "../support/otp/purposes.ts";
import { openServers, type Servers } from "../support/servers.ts";
import { isSoak, rounds } from "../support/soak.ts";
import { addPending, addUser, addVerified } from "../support/users.ts";
import { waitFor } from "../support/wait-for.ts";

const returnCode = { case: "returnCode", value: {} } as const;

/** The number of processes: fewer on SQLite, which is for one machine. */
const count = engine === "sqlite" ? 2 : 4;

const ends: Parameters<OnEnd>[0][] = [];
let servers: Servers;
let callers: Caller[];
let a: Caller;
let b: Caller;

/** All tests share the processes. Each has its own users. */
beforeAll(async () => {
  const onEnd: OnEnd = (end) => void ends.unshift(end);
  servers = await openServers({ onEnd });
  const running = await Promise.all(Array.from({ length: count }, () => servers.start()));
  callers = running.map((server) => servers.callerOf(server));
  [a, b] = callers as [Caller, Caller];
});

afterAll(async () => {
  for (const end of ends) await end();
});

let users = 0;

async function newUser(): Promise<string> {
  const userId = `user-${users++}`;
  await addUser(a.users, userId);
  return userId;
}

const mailsTo = (address: string) => servers.relay.received.filter(({ to }) => to.includes(address)).length;

const addressOf = (userId: string) => `${userId}@mouse.com`;

/** Makes calls to the processes in turn, all at once. */
function outcomesOf(length: number, call: (caller: Caller, i: number) => Promise<unknown>) {
  return Promise.all(
    Array.from({ length }, (_, i) => outcomeOf(call(callers[i % callers.length] as Caller, i))),
  );
}

const countOf = (outcomes: readonly string[], wanted: string) =>
  outcomes.filter((outcome) => outcome === wanted).length;

/** The number of events of a type that the user has. */
async function eventsOf({ users }: Caller, userId: string, type: string): Promise<number> {
  let count = 0;
  for (let pageToken = ""; ; ) {
    const page = await users.listEvents({ userId, pageSize: 100, pageToken });
    count += page.events.filter((event) => event.type === type).length;
    pageToken = page.nextPageToken;
    if (pageToken === "") return count;
  }
}

describe.each(purposes)("several processes on one database, and codes of $name", (purpose) => {
  it("T02 compare at most five of 200 simultaneous codes", async () => {
    const userId = await newUser();
    const issued = await purpose.issue(a, await purpose.prepare(a, userId, addressOf(userId)));
    const outcomes = await outcomesOf(200, (caller, i) =>
      purpose.verify(caller, issued, i === 199 ? issued.code : purpose.wrong(issued.code, 1 + (i % 31))),
    );
    expect(countOf(outcomes, "CODE_INVALID") + countOf(outcomes, "OK")).toBe(5);
    expect(countOf(outcomes, "ATTEMPTS_EXHAUSTED")).toBe(195);
    expect(await eventsOf(a, userId, purpose.events.exhausted)).toBeLessThanOrEqual(1);
  });

  it("T03 T04 accept one of 50 simultaneous right codes", { timeout: 600_000 }, async () => {
    const userId = await newUser();
    for (let round = 0; round < rounds(4, 200); round++) {
      const name = await purpose.prepare(a, userId, `${userId}-${round}@mouse.com`);
      const issued = await purpose.issue(a, name);
      const outcomes = await outcomesOf(50, (caller) => purpose.verify(caller, issued));
      expect(countOf(outcomes, "OK")).toBe(1);
      for (const caller of callers) expect(await outcomeOf(purpose.verify(caller, issued))).toBe("CODE_USED");
      await b.users.removeOTPEmail(name);
      expect(await eventsOf(b, userId, purpose.events.passed)).toBe(round + 1);
    }
  });

  it("T05 compare ten of 200 wrong codes over many codes", async () => {
    const userId = await newUser();
    const name = await purpose.prepare(a, userId, addressOf(userId));
    const outcomes: string[] = [];
    for (let round = 0; round < 8; round++) {
      const issued = await purpose.issue(round % 2 ? a : b, name).catch(() => undefined);
      if (!issued) break;
      const wrong = await outcomesOf(25, (caller, i) =>
        purpose.verify(caller, issued, purpose.wrong(issued.code, 1 + i)),
      );
      outcomes.push(...wrong);
    }
    expect(countOf(outcomes, "CODE_INVALID")).toBe(10);
    expect(countOf(outcomes, "ATTEMPTS_EXHAUSTED")).toBe(outcomes.length - 10);
    expect(await outcomeOf(purpose.issue(b, name))).toBe("ATTEMPTS_EXHAUSTED");
  });

  it("T25 mail one of 50 codes requested at once", async () => {
    const userId = await newUser();
    const name = await purpose.prepare(a, userId, addressOf(userId));
    const outcomes = await outcomesOf(50, (caller) => purpose.mail(caller, name));
    expect(countOf(outcomes, "OK")).toBe(1);
    expect(countOf(outcomes, "RESEND_TOO_SOON")).toBe(49);
  });
});

describe("several processes on one database", () => {
  it("T13 don't verify an address with the code of another added at the same time", {
    timeout: 600_000,
  }, async () => {
    const userId = await newUser();
    for (let round = 0; round < rounds(5, 500); round++) {
      const add = ({ users }: Caller, address: string) =>
        users.addOTPEmail({ userId, email: { address, verification: returnCode } });
      const [one, other] = round % 2 ? [a, b] : [b, a];
      const [attacker, victim] = await Promise.all([add(one, "attacker@x.io"), add(other, "victim@y.io")]);
      const code = attacker.verificationCode ?? "";
      const verify = ({ users }: Caller, { otpEmailId }: { otpEmailId: string }) =>
        outcomeOf(users.verifyOTPEmail({ userId, otpEmailId, code }));
      expect(await verify(b, victim)).toBe("CODE_INVALID");
      expect(await verify(b, attacker)).toBe("OK");
      const { otpEmails } = await a.users.listOTPEmails({ userId });
      expect(otpEmails.filter((e) => e.isVerified).map((e) => e.address)).toEqual(["attacker@x.io"]);
      await a.users.removeOTPEmail({ userId, otpEmailId: attacker.otpEmailId });
      // Its wrong codes are kept, and would lock it.
      await a.users.unlockOTPEmail({ userId, otpEmailId: victim.otpEmailId });
      await a.users.removeOTPEmail({ userId, otpEmailId: victim.otpEmailId });
    }
  });

  it("leave one live challenge of 50 created at once", async () => {
    const userId = await newUser();
    const name = await login.prepare(a, userId, addressOf(userId));
    const issued = await Promise.all(
      Array.from({ length: 50 }, (_, i) => login.issue(callers[i % callers.length] as Caller, name)),
    );
    const outcomes: string[] = [];
    for (const one of issued) outcomes.push(await outcomeOf(login.verify(a, one)));
    expect(countOf(outcomes, "OK")).toBe(1);
    expect(countOf(outcomes, "CHALLENGE_ENDED")).toBe(49);
  });

  it("create one challenge per Idempotency-Key, even if a process is killed meanwhile", {
    timeout: 120_000,
  }, async () => {
    const userId = await newUser();
    const survivor = a;
    const otpEmailId = await addVerified(survivor.users, userId);
    const request = { userId, otpEmailId, audience, delivery: returnCode };
    const create = ({ challenges }: Caller, key: number) =>
      challenges.createOTPEmailChallenge(request, { headers: { "idempotency-key": `k${key}` } });
    const ids = new Set<string>();
    let keys = 0;
    for (let round = 0; round < rounds(1, 20); round++) {
      const victim = await servers.start();
      const from = keys;
      keys += 40;
      const dying = servers.callerOf(victim);
      const calls = Array.from({ length: 40 }, (_, i) => create(dying, from + i).catch(() => undefined));
      await sleep(10 + 15 * round);
      victim.child.kill("SIGKILL");
      const replies = await Promise.all(calls);
      let live = 0;
      for (let i = 0; i < 40; i++) {
        const { challengeId } = await create(survivor, from + i);
        ids.add(challengeId);
        if (replies[i]) expect(replies[i]?.challengeId).toBe(challengeId);
      }
      for (let i = 0; i < 40; i++) if ((await create(survivor, from + i)).code !== undefined) live++;
      expect(live).toBe(1);
    }
    expect(ids.size).toBe(keys);
    expect(await eventsOf(survivor, userId, "challenge.created")).toBe(keys);
  });

  it("give one reply per Idempotency-Key that all get at once, and send one mail", async () => {
    const userId = await newUser();
    for (let round = 0; round < rounds(3, 100); round++) {
      const address = `${userId}-${round}@mouse.com`;
      const headers = { "idempotency-key": `${userId}-${round}` };
      const add = ({ users }: Caller) => users.addOTPEmail({ userId, email: { address } }, { headers });
      const replies = await Promise.all([...callers, ...callers].map(add));
      expect(new Set(replies.map(({ otpEmailId }) => otpEmailId)).size).toBe(1);
      expect(await eventsOf(a, userId, "otp_email.added")).toBe(round + 1);
      await waitFor("the mail", () => mailsTo(address) > 0);
      await a.users.removeOTPEmail({ userId, otpEmailId: replies[0]?.otpEmailId ?? "" });
    }
    // Leave time for duplicates.
    await sleep(200);
    expect(servers.relay.received.filter(({ to }) => to[0]?.startsWith(`${userId}-`))).toHaveLength(
      rounds(3, 100),
    );
  });

  it("send each of many mails once", { timeout: 120_000 }, async () => {
    const userIds = await Promise.all(Array.from({ length: rounds(10, 100) }, newUser));
    const addresses = userIds.flatMap((userId) => [0, 1, 2, 3].map((i) => `${i}-${userId}@mouse.com`));
    await Promise.all(
      addresses.map((address, i) =>
        (callers[i % callers.length] as Caller).users.addOTPEmail({
          userId: address.slice(2, address.indexOf("@")),
          email: { address },
        }),
      ),
    );
    await waitFor("all mails", () => addresses.every((address) => mailsTo(address) > 0));
    await sleep(200);
    expect(addresses.filter((address) => mailsTo(address) !== 1)).toEqual([]);
  });

  it("take over the mails of a killed process, and send none more than twice", {
    timeout: 600_000,
  }, async () => {
    const store = openStore(servers.databaseUrl);
    onTestFinished(() => store[Symbol.asyncDispose]());
    let twice = 0;
    for (let round = 0; round < rounds(1, 4); round++) {
      const userIds = await Promise.all(Array.from({ length: 30 }, newUser));
      const victim = await servers.start();
      const { users } = servers.callerOf(victim);
      const before = servers.relay.received.length;
      const added = userIds.map((userId) =>
        users.addOTPEmail({ userId, email: { address: addressOf(userId) } }).then(() => addressOf(userId)),
      );
      const settled = Promise.allSettled(added);
      await waitFor("the first mails", () => servers.relay.received.length >= before + 5);
      victim.child.kill("SIGKILL");
      const outcomes = await settled;
      const addresses = outcomes.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
      expect(addresses.length).toBeGreaterThan(0);
      // The soak waits until the leases end by themselves.
      if (!isSoak) await store.write((trx) => trx.updateTable("outbox").set({ lease_until: 0 }).execute());
      await a.users.addOTPEmail({ userId: await newUser(), email: { address: `wake-${round}@mouse.com` } });
      await expect
        .poll(() => addresses.filter((address) => mailsTo(address) === 0), { timeout: 130_000 })
        .toEqual([]);
      await sleep(200);
      expect(addresses.filter((address) => mailsTo(address) > 2)).toEqual([]);
      twice += addresses.filter((address) => mailsTo(address) === 2).length;
    }
    console.log(`${rounds(1, 4)} killed: ${twice} mails sent twice`);
  });
});

describe("several processes with low limits", () => {
  it("let exactly as many mails through as the limits of authenticator, address, client and all mails", async () => {
    const limited = await openServers({
      environment: {
        COUNTERSIGN_TRUSTED_PROXIES: "127.0.0.0/8",
        COUNTERSIGN_MAIL_INTERVAL: "0s",
        COUNTERSIGN_MAILS_PER_HOUR_MAX: "5",
        COUNTERSIGN_ADDRESS_MAILS_PER_HOUR_MAX: "8",
        COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "30",
        COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "40",
      },
    });
    const running = await Promise.all(Array.from({ length: count }, () => limited.start()));
    const admins = running.map((server) => limited.callerOf(server));
    const [{ users }] = admins as [Caller];
    const userIds = Array.from({ length: 20 }, (_, i) => `u${i}`);
    await Promise.all(userIds.map((userId) => addUser(users, userId)));
    const { otpEmailId } = await addPending(users, "u0", "one@x.io");

    /** The number of calls that succeed, of this many at once. */
    async function passed(length: number, call: (caller: Caller, i: number) => Promise<unknown>) {
      const calls = Array.from({ length }, (_, i) => outcomeOf(call(admins[i % count] as Caller, i)));
      return countOf(await Promise.all(calls), "OK");
    }
    const add =
      (address: string, from = "127.0.0.1") =>
      (caller: Caller, i: number) =>
        caller.users.addOTPEmail(
          { userId: `u${i % 20}`, email: { address: address.replace("#", String(i)) } },
          { headers: { "x-forwarded-for": from } },
        );
    const resend = (caller: Caller) => caller.users.resendOTPEmailCode({ userId: "u0", otpEmailId });
    expect(await passed(20, resend)).toBe(5);
    expect(await passed(20, add("two@x.io"))).toBe(8);
    expect(await passed(40, add("three-#@x.io"))).toBe(30 - 5 - 8);
    expect(await passed(40, add("four-#@x.io", "192.0.2.1"))).toBe(40 - 30);
  });
});
