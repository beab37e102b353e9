import { sql } from "kysely";
import { expect, it } from "vitest";
import { startTestApp } from "../../support/app.ts";
import { dumpOf } from "../../support/db/database.ts";
import { type ReceivedMail, refusal, startRelay } from "../../support/mail/relay.ts";
import { addUser } from "../../support/users.ts";
import { waitFor } from "../../support/wait-for.ts";

/** Damages to the row of a mail or its recipient, as SQL, and the resulting state and reason. */
const damages: readonly [name: string, damage: string, state: string, reason: string][] = [
  ["template", "update outbox set url_template = 'https://x/{{.Nope' where", "failed", "compose"],
  ["address", "update otp_emails set address = 'a@x.io, b@evil.example' where", "failed", "compose"],
  [
    "line",
    "update otp_emails set address = 'a@x.io' || char(13, 10) || 'RCPT TO:<b@evil.example>' where",
    "failed",
    "compose",
  ],
  ["salt", "update outbox set code_salt = x'00' where", "dropped", "code not alive"],
  ["none", "update outbox set code_salt = x'' where", "dropped", "code not alive"],
  ["key", "update otp_emails set code_key_id = 'retired' where", "dropped", "code not alive"],
  ["keyless", "update otp_emails set code_key_id = null where", "dropped", "code not alive"],
  ["purpose", "update outbox set purpose = 'nonsense' where", "failed", "compose"],
  ["other", "update outbox set purpose = 'login' where", "dropped", "code not alive"],
];

it("F19 damaged rows fail or are dropped at the first attempt, and the others are sent", async () => {
  let isGreylisted = true;
  const received: ReceivedMail[] = [];
  const relay = await startRelay({
    onRcptTo: (_address, _session, callback) => callback(isGreylisted ? refusal(450, "4.2.0 later") : null),
    onMail: (mail) => void received.push(mail),
  });
  const test = await startTestApp({
    environment: { COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}` },
  });
  const { db } = test.app.store;
  const client = await test.admin();
  const names = [...damages.map(([name]) => name), "good", "fine"];
  const idOf = new Map<string, string>();
  for (const name of names) {
    await addUser(client, name);
    const added = await client.addOTPEmail({ userId: name, email: { address: `${name}@x.io` } });
    idOf.set(name, added.otpEmailId);
  }
  const rows = () => db.selectFrom("outbox").selectAll().execute();
  await waitFor("all are deferred", async () =>
    (await rows()).every((row) => row.attempts === 1 && row.lease_id === null),
  );
  for (const [name, damage] of damages)
    await sql.raw(`${damage} otp_email_id = ${idOf.get(name)}`).execute(db);
  isGreylisted = false;
  test.clock.move(2_500);
  await waitFor("all are settled", async () => (await rows()).every((row) => row.state !== "queued"));

  const found = new Map((await rows()).map((row) => [`${row.otp_email_id}`, row]));
  for (const [name, , state, reason] of damages)
    expect([name, found.get(idOf.get(name)!)]).toMatchObject([name, { state, reason, attempts: 2 }]);
  expect(received.map(({ to }) => to[0]).sort()).toEqual(["fine@x.io", "good@x.io"]);
  // I4: no code is stored or logged.
  const codes = received.map(({ raw }) => /^[0-9A-HJKMNP-TV-Z]{8}\r?$/m.exec(raw)?.[0].trim() ?? "none");
  const kept = (await dumpOf(test.dataDir)) + test.logLines.join("\n");
  for (const code of codes) expect(kept).not.toContain(code);
});
