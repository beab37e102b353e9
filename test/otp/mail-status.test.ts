import { describe, expect, it } from "vitest";
import type { NewOutboxRow, OutboxRow } from "../../src/db/core/schema.ts";
import { claim } from "../../src/mail/outbox/claim.ts";
import { type Outcome, settle } from "../../src/mail/outbox/settle.ts";
import { saveMailStatus, waitingMails } from "../../src/otp/mail-status.ts";
import { insertRows, newRow, openMailStore } from "../support/mail/rows.ts";

const now = Date.parse("2026-11-23T09:00:00Z");

async function open(rows: NewOutboxRow[]) {
  const { store } = await openMailStore(now);
  await insertRows(store, rows);
  return {
    store,
    claim: (at: number, limit: number) =>
      claim(store, at, { leaseMs: 100_000, limit, leaseId: "mine", onSettle: saveMailStatus }),
    settle: (at: number, row: OutboxRow, outcome: Outcome) => settle(store, at, row, outcome, saveMailStatus),
    saved: () =>
      store.db
        .selectFrom("otp_emails")
        .select(["mail_id", "mail_state", "mail_create_time", "mail_settle_time", "mail_reason"])
        .where("otp_email_id", "=", "1")
        .executeTakeFirstOrThrow(),
  };
}

describe("the status of the last mail of an authenticator", () => {
  it("is the final one of the newest mail, whichever was settled last", async () => {
    const old = newRow(now, { next_attempt_time: now - 1 });
    const { store, claim, settle, saved } = await open([
      old,
      newRow(now, { code_salt: new Uint8Array(16).fill(2) }),
    ]);
    const rows = await claim(now, 2);
    await settle(now, rows[1]!, { kind: "retry", reason: "451" });
    expect(await saved()).toMatchObject({ mail_id: null, mail_state: null });
    // Both are waiting: the newer one counts.
    expect([...(await waitingMails(store.db, ["1", "2"])).values()]).toEqual([
      { state: "deferred", createTime: now, settleTime: null, reason: "451" },
    ]);
    const [again] = await claim(now + 3_000, 1);
    await settle(now + 4_000, again!, { kind: "drop", reason: "code not alive" });
    const newest = {
      mail_id: again!.mail_id,
      mail_state: "suppressed",
      mail_create_time: now,
      mail_settle_time: now + 4_000,
      mail_reason: "code not alive",
    };
    expect(await saved()).toEqual(newest);
    await settle(now + 5_000, rows[0]!, { kind: "sent" });
    expect(await saved()).toEqual(newest);
  });

  it("is failed if the code expired before the mail was sent", async () => {
    const { claim, saved } = await open([newRow(now, { expire_time: now })]);
    await claim(now, 1);
    expect(await saved()).toMatchObject({ mail_state: "failed", mail_reason: "expired" });
  });
});
