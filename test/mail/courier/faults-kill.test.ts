import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { simpleParser } from "mailparser";
import { expect, it, onTestFinished } from "vitest";
import { lockUser } from "../../../src/db/core/lock.ts";
import { openStore, type Store } from "../../../src/db/store.ts";
import { databaseUrlOf } from "../../support/db/database.ts";
import { adminToken, callerOf, startLoaded } from "../../support/db/storage-load.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { createGate } from "../../support/gate.ts";
import { startRelay } from "../../support/mail/relay.ts";
import { rounds } from "../../support/soak.ts";
import { waitFor } from "../../support/wait-for.ts";

const kills = rounds(2, 200);

/** Locks a user, so that no outcome of its mails can be recorded until the returned function is called. */
async function hold(store: Store, userId: string): Promise<() => Promise<void>> {
  const locked = createGate();
  const released = createGate();
  const holding = store.write(async (trx) => {
    await lockUser(trx, userId);
    locked.open();
    await released.opened;
  });
  await Promise.race([locked.opened, holding]);
  return () => {
    released.open();
    return holding;
  };
}

/** Ends the leases of the dead process. */
const endLeases = (store: Store) =>
  store.db.updateTable("outbox").set({ lease_until: 1 }).where("lease_id", "is not", null).execute();

async function read(raw: string) {
  const { messageId, date, subject, text = "" } = await simpleParser(Buffer.from(raw, "latin1"));
  return { messageId, date, subject, text };
}

it(`F17 a mail comes twice, the same, when the service is killed between the relay's 250 and the record of it: ${kills} times`, {
  timeout: 1_800_000,
}, async () => {
  const dataDir = join(temporaryFolder(), "data");
  const url = await databaseUrlOf(dataDir);
  const token = await adminToken(dataDir);
  let onCopy: () => Promise<void> = async () => {};
  const relay = await startRelay({ onMail: () => onCopy() });
  const environment = {
    COUNTERSIGN_DATABASE_URL: url,
    COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
    COUNTERSIGN_CODE_TTL: "10m",
    // By default links contain the port, which changes with each start.
    COUNTERSIGN_PUBLIC_URL: "http://localhost:8080",
  };
  let server = await startLoaded(dataDir, environment);
  let logs = "";
  const store = openStore(url);
  onTestFinished(() => store[Symbol.asyncDispose]());
  const stateOf = (userId: string) =>
    store.db.selectFrom("outbox").select(["state", "attempts"]).where("user_id", "=", userId).execute();

  for (let i = 0; i < kills; i++) {
    const userId = `u${i}`;
    const call = callerOf(server.origin, token);
    expect((await call("POST", "/users", { userId, organization: { orgId: "o" } })).status).toBe(200);
    let release = async () => {};
    onCopy = async () => {
      release = await hold(store, userId);
    };
    const email = { address: `a${i}@x.io`, sendCode: {} };
    const { body } = await call("POST", `/users/${userId}/otp_email`, { email });
    await waitFor("the first copy", () => relay.received.length === 2 * i + 1);
    // Time for the 250 to arrive. The test holds in any case.
    await sleep(30);
    server.child.kill("SIGKILL");
    logs += (await server.finished()).stderr;
    await release();
    expect(await stateOf(userId)).toEqual([{ state: "queued", attempts: 1 }]);

    onCopy = async () => {};
    await endLeases(store);
    server = await startLoaded(dataDir, environment);
    await waitFor("the mail is taken over", async () => (await stateOf(userId))[0]?.state === "sent");
    expect(await stateOf(userId)).toEqual([{ state: "sent", attempts: 2 }]);
    const copies = await Promise.all(relay.received.slice(2 * i).map(({ raw }) => read(raw)));
    expect(copies).toHaveLength(2);
    expect(copies[1]).toEqual(copies[0]);
    expect(relay.received.slice(2 * i).map(({ to }) => to)).toEqual([[email.address], [email.address]]);
    const code = /^[0-9A-HJKMNP-TV-Z]{8}$/m.exec(copies[0]?.text ?? "")?.[0] ?? "";
    const verify = `/users/${userId}/otp_email/${body.otpEmailId}/verify`;
    expect((await callerOf(server.origin, token)("POST", verify, { code })).status).toBe(200);
    expect(logs + server.stderr()).not.toContain(code);
  }
});
