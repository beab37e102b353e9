import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { protocols, startTestApp } from "../support/app.ts";
import { engine, holdDatabase } from "../support/db/database.ts";
import { addPending, addUser, eventTypes } from "../support/users.ts";

/** These fill the write queue (SQLite) or use all connections (PostgreSQL), so that later writes wait. */
const staying = Array.from({ length: engine === "sqlite" ? 1 : 10 }, (_, i) => `stays-${i}@x.io`);

it.each(protocols)(
  "F28 nothing is written for a client that disconnects before its write, over %s",
  async (protocol) => {
    const test = await startTestApp();
    const client = await test.admin(protocol);
    await addUser(client);
    const held = await holdDatabase(test.dataDir);

    const stay = Promise.all(staying.map((address) => addPending(client, "u", address)));
    await held.blocked(staying.length);
    const going = new AbortController();
    const gone = client.addOTPEmail(
      { userId: "u", email: { address: "goes@x.io", verification: { case: "returnCode", value: {} } } },
      { signal: going.signal },
    );
    await sleep(100);
    going.abort();
    await expect(gone).rejects.toThrow(/abort|cancel/i);
    await sleep(300);
    await held.release();

    await stay;
    const { otpEmails } = await client.listOTPEmails({ userId: "u" });
    expect(otpEmails.map(({ address }) => address).sort()).toEqual(staying.toSorted());
    const added = (await eventTypes(test)).filter((type) => type === "otp_email.added");
    expect(added).toHaveLength(staying.length);
    expect(test.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  },
);
