import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import Database from "better-sqlite3";
import { expect, it, onTestFinished } from "vitest";
import { protocols, startTestApp } from "../support/app.ts";
import { addPending, addUser, eventTypes } from "../support/users.ts";

it.each(protocols)(
  "F28 of a caller that goes away before its write nothing is written, over %s",
  async (protocol) => {
    const test = await startTestApp();
    const client = await test.admin(protocol);
    await addUser(client);
    const other = new Database(join(test.dataDir, "countersign.db"));
    onTestFinished(() => void other.close());
    other.exec("begin immediate");

    // The first holds the queue, the second waits behind it.
    const staying = addPending(client, "u", "stays@x.io");
    await sleep(50);
    const going = new AbortController();
    const gone = client.addOTPEmail(
      { userId: "u", email: { address: "goes@x.io", verification: { case: "returnCode", value: {} } } },
      { signal: going.signal },
    );
    await sleep(100);
    going.abort();
    await expect(gone).rejects.toThrow(/abort|cancel/i);
    await sleep(100);
    other.exec("rollback");

    await staying;
    const { otpEmails } = await client.listOTPEmails({ userId: "u" });
    expect(otpEmails.map(({ address }) => address)).toEqual(["stays@x.io"]);
    expect(await eventTypes(test)).toEqual(["user.created", "otp_email.added"]);
    expect(test.logLines.filter((line) => JSON.parse(line).level >= 50)).toEqual([]);
  },
);
