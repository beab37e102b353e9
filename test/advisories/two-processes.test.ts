import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { ChallengeService } from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { transport, withToken } from "../support/app.ts";
import { outcomeOf } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Running, runCommand, startCommand } from "../support/process.ts";
import { rounds } from "../support/soak.ts";
import { addVerified } from "../support/users.ts";
import { audience, type Caller, login, purposes } from "./purposes.ts";

const userId = "demo-user";
const returnCode = { case: "returnCode", value: {} } as const;

/** A database, a token for it, and as many servers on it as are started. */
async function startDatabase() {
  const data = { COUNTERSIGN_DATA_DIR: join(temporaryFolder(), "data") };
  const start = () => startCommand(["dev"], data);
  const first = await start();
  const permissions = ["--permission", "user.write", "--permission", "otp.challenge"];
  const { stdout } = await runCommand(["token", "--subject", "admin", ...permissions], data);
  const callerOf = ({ origin }: Running): Caller => {
    const signed = withToken(transport(origin, "gRPC"), stdout.trim());
    return { users: createClient(UserService, signed), challenges: createClient(ChallengeService, signed) };
  };
  return { first, start, callerOf };
}

async function startTwo(): Promise<[Caller, Caller]> {
  const { first, start, callerOf } = await startDatabase();
  return [callerOf(first), callerOf(await start())];
}

/** What the calls end in that go to the two in turn. */
function outcomesOf(
  count: number,
  two: [Caller, Caller],
  call: (caller: Caller, i: number) => Promise<unknown>,
) {
  return Promise.all(Array.from({ length: count }, (_, i) => outcomeOf(call(two[i % 2 ? 0 : 1], i))));
}

const countOf = (outcomes: readonly string[], wanted: string) =>
  outcomes.filter((outcome) => outcome === wanted).length;

/** How many events of a type the user has. */
async function eventsOf({ users }: Caller, type: string): Promise<number> {
  let count = 0;
  for (let pageToken = ""; ; ) {
    const page = await users.listEvents({ userId, pageSize: 100, pageToken });
    count += page.events.filter((event) => event.type === type).length;
    pageToken = page.nextPageToken;
    if (pageToken === "") return count;
  }
}

describe.each(purposes)("two processes on one database, and codes of $name", (purpose) => {
  it("T02 compare at most five of 200 simultaneous codes", async () => {
    const two = await startTwo();
    const [a] = two;
    const issued = await purpose.issue(a, await purpose.prepare(a, userId));
    const outcomes = await outcomesOf(200, two, (caller, i) =>
      purpose.verify(caller, issued, i === 199 ? issued.code : purpose.wrong(issued.code, 1 + (i % 31))),
    );
    expect(countOf(outcomes, "CODE_INVALID") + countOf(outcomes, "OK")).toBe(5);
    expect(countOf(outcomes, "ATTEMPTS_EXHAUSTED")).toBe(195);
    expect(await eventsOf(a, purpose.events.exhausted)).toBeLessThanOrEqual(1);
  });

  it("T03 T04 let exactly one of 50 simultaneous right codes win", { timeout: 600_000 }, async () => {
    const two = await startTwo();
    const [a, b] = two;
    for (let round = 0; round < rounds(10, 200); round++) {
      const name = await purpose.prepare(a, userId, `mini-${round}@mouse.com`);
      const issued = await purpose.issue(a, name);
      const outcomes = await outcomesOf(50, two, (caller) => purpose.verify(caller, issued));
      expect(countOf(outcomes, "OK")).toBe(1);
      for (const caller of two) expect(await outcomeOf(purpose.verify(caller, issued))).toBe("CODE_USED");
      await b.users.removeOTPEmail(name);
      expect(await eventsOf(b, purpose.events.passed)).toBe(round + 1);
    }
  });

  it("T05 let ten wrong codes of 200 at once through, over many codes", async () => {
    const two = await startTwo();
    const [a, b] = two;
    const name = await purpose.prepare(a, userId);
    const outcomes: string[] = [];
    for (let round = 0; round < 8; round++) {
      const issued = await purpose.issue(two[round % 2 ? 0 : 1], name).catch(() => undefined);
      if (!issued) break;
      const wrong = await outcomesOf(25, two, (caller, i) =>
        purpose.verify(caller, issued, purpose.wrong(issued.code, 1 + i)),
      );
      outcomes.push(...wrong);
    }
    expect(countOf(outcomes, "CODE_INVALID")).toBe(10);
    expect(countOf(outcomes, "ATTEMPTS_EXHAUSTED")).toBe(outcomes.length - 10);
    expect(await outcomeOf(purpose.issue(b, name))).toBe("ATTEMPTS_EXHAUSTED");
  });

  it("T25 mail one code of 50 that are asked for at once", async () => {
    const two = await startTwo();
    const name = await purpose.prepare(two[0], userId);
    const outcomes = await outcomesOf(50, two, (caller) => purpose.mail(caller, name));
    expect(countOf(outcomes, "OK")).toBe(1);
    expect(countOf(outcomes, "RESEND_TOO_SOON")).toBe(49);
  });
});

describe("two processes on one database", () => {
  it("T13 verify no address with the code of another that was added at the same time", {
    timeout: 600_000,
  }, async () => {
    const [a, b] = await startTwo();
    for (let round = 0; round < rounds(10, 500); round++) {
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
      // Its wrong codes stand, and would lock it.
      await a.users.unlockOTPEmail({ userId, otpEmailId: victim.otpEmailId });
      await a.users.removeOTPEmail({ userId, otpEmailId: victim.otpEmailId });
    }
  });

  it("leave one live challenge of 50 that are begun at once", async () => {
    const two = await startTwo();
    const name = await login.prepare(two[0], userId);
    const issued = await Promise.all(
      Array.from({ length: 50 }, (_, i) => login.issue(two[i % 2 ? 0 : 1], name)),
    );
    const outcomes: string[] = [];
    for (const one of issued) outcomes.push(await outcomeOf(login.verify(two[0], one)));
    expect(countOf(outcomes, "OK")).toBe(1);
    expect(countOf(outcomes, "CHALLENGE_ENDED")).toBe(49);
  });

  it("begin one challenge for one Idempotency-Key, also when one of them is killed while it works", {
    timeout: 120_000,
  }, async () => {
    const { first, start, callerOf } = await startDatabase();
    const survivor = callerOf(first);
    const otpEmailId = await addVerified(survivor.users, userId);
    const request = { userId, otpEmailId, audience, delivery: returnCode };
    const create = ({ challenges }: Caller, key: number) =>
      challenges.createOTPEmailChallenge(request, { headers: { "idempotency-key": `k${key}` } });
    const ids = new Set<string>();
    let keys = 0;
    for (let round = 0; round < rounds(2, 20); round++) {
      const victim = await start();
      const from = keys;
      keys += 40;
      const dying = callerOf(victim);
      const calls = Array.from({ length: 40 }, (_, i) => create(dying, from + i).catch(() => undefined));
      await sleep(10 + 15 * round);
      victim.child.kill("SIGKILL");
      const told = await Promise.all(calls);
      let live = 0;
      for (let i = 0; i < 40; i++) {
        const { challengeId } = await create(survivor, from + i);
        ids.add(challengeId);
        if (told[i]) expect(told[i]?.challengeId).toBe(challengeId);
      }
      for (let i = 0; i < 40; i++) if ((await create(survivor, from + i)).code !== undefined) live++;
      expect(live).toBe(1);
    }
    expect(ids.size).toBe(keys);
    expect(await eventsOf(survivor, "challenge.created")).toBe(keys);
  });
});
