import { expect, it, onTestFinished } from "vitest";
import { openDatabaseClock } from "../../../src/db/postgres/clock.ts";
import { openTestStore } from "../../support/db/database.ts";
import { outcomeOf } from "../../support/errors.ts";
import type { Running } from "../../support/process/process.ts";
import { shiftedClock } from "../../support/process/shifted-clock.ts";
import { openServers } from "../../support/servers.ts";
import { isSoak } from "../../support/soak.ts";
import { addPending, addUser } from "../../support/users.ts";
import { waitFor } from "../../support/wait-for.ts";

it("F11 takes the time from the database, and reports the skew of this machine", async () => {
  const store = await openTestStore();
  const real = Date.now;
  onTestFinished(() => {
    Date.now = real;
  });
  const truth = real();
  Date.now = () => real() + 300_000;
  const skews: number[] = [];
  await using clock = await openDatabaseClock({
    store,
    onSkew: (skewMs) => void skews.push(skewMs),
    onError: (error) => {
      throw error;
    },
  });
  expect(clock.now() - truth).toBeLessThan(60_000);
  expect(skews).toEqual([expect.closeTo(-300_000, -4)]);
});

it("F11 processes whose clocks are 10 min apart agree on the database's, and log their skew", async () => {
  const environment = { COUNTERSIGN_CODE_TTL: "60s" };
  const servers = await openServers({ environment });
  const shifts = isSoak ? [0, 300_000, -300_000] : [300_000, -300_000];
  const running = await Promise.all(shifts.map((ms) => servers.start({ ...shiftedClock(ms).environment })));
  const callers = running.map((server) => servers.callerOf(server).users);
  await addUser(callers[0]!);
  // Each process verifies the codes of all others. By its own clock they would be expired, or not issued yet.
  for (const [i, issuer] of callers.entries()) {
    for (const verifier of callers) {
      const { otpEmailId, code } = await addPending(issuer);
      expect(await outcomeOf(verifier.verifyOTPEmail({ userId: "u", otpEmailId, code })), `${i}`).toBe("OK");
      await issuer.removeOTPEmail({ userId: "u", otpEmailId });
    }
  }
  const { events } = await callers[0]!.listEvents({ userId: "u", pageSize: 100 });
  const seconds = events.map(({ time }) => Number(time?.seconds));
  expect(Math.max(...seconds) - Math.min(...seconds)).toBeLessThan(60);
  const alarm = /"skewMs":(-?\d+).*the clock of this machine is far from that of the database/;
  const skewOf = (server: Running) => Number(alarm.exec(server.stderr())?.[1] ?? 0);
  for (const [i, ms] of shifts.entries())
    await waitFor("the alarm", () => Math.sign(skewOf(running[i]!)) === Math.sign(-ms));
});
