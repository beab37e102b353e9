import { expect, it } from "vitest";
import { waitFor } from "../mail/wait-for.ts";
import { outcomeOf } from "../support/errors.ts";
import type { Running } from "../support/process.ts";
import { openServers } from "../support/servers.ts";
import { isSoak } from "../support/soak.ts";
import { addPending, addUser } from "../support/users.ts";

/** Sets the clock of a process. */
const shifted = (ms: number) => ({
  NODE_OPTIONS: `--import ${JSON.stringify(
    `data:text/javascript,${encodeURIComponent(`const { now } = Date; Date.now = () => now.call(Date) + ${ms};`)}`,
  )}`,
});

it.runIf(isSoak)(
  "F11 processes whose clocks are 5 min apart agree by the clock of the database, and say which is wrong",
  async () => {
    const environment = { COUNTERSIGN_CODE_TTL: "60s" };
    const servers = await openServers({ environment });
    const running = await Promise.all(
      [{}, shifted(300_000), shifted(-300_000)].map((more) => servers.start(more)),
    );
    const callers = running.map((server) => servers.callerOf(server).users);
    await addUser(callers[0]!);
    // Each verifies what each other has issued: by its own clock the code is over, or not yet made.
    for (const [i, issuer] of callers.entries()) {
      for (const verifier of callers) {
        const { otpEmailId, code } = await addPending(issuer);
        expect(await outcomeOf(verifier.verifyOTPEmail({ userId: "u", otpEmailId, code })), `${i}`).toBe(
          "OK",
        );
        await issuer.removeOTPEmail({ userId: "u", otpEmailId });
      }
    }
    const { events } = await callers[0]!.listEvents({ userId: "u", pageSize: 100 });
    const seconds = events.map(({ time }) => Number(time?.seconds));
    expect(Math.max(...seconds) - Math.min(...seconds)).toBeLessThan(60);
    const alarm = /"skewMs":(-?\d+).*the clock of this machine is far from that of the database/;
    const [right, ahead, behind] = running as [Running, Running, Running];
    const skewOf = (server: Running) => Number(alarm.exec(server.stderr())?.[1] ?? 0);
    await waitFor("the alarms", () => skewOf(ahead) !== 0 && skewOf(behind) !== 0);
    expect([skewOf(right), Math.sign(skewOf(ahead)), Math.sign(skewOf(behind))]).toEqual([0, -1, 1]);
  },
);
