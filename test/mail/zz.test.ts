import { sql } from "kysely";
import { it } from "vitest";
import { claim, nextDueTime, settle } from "../../src/mail/outbox.ts";
import { addAuthenticators, openTestStore } from "./rows.ts";
it("measure", async () => {
  const store = await openTestStore();
  const now = Date.now();
  await addAuthenticators(store, now, 1);
  for (const [label, shift] of [["live", 0], ["expired", -700_000]] as const) {
    await sql`with recursive n(i) as (select 1 union all select i+1 from n where i<500000)
     insert into outbox (mail_id,purpose,user_id,otp_email_id,code_salt,message_id,state,attempts,next_attempt_time,expire_time,create_time)
     select i + ${shift === 0 ? 1000000 : 5000000}, 'enrolment','u',1,x'00', 'm'||i, 'queued',0, ${now + shift} , ${now + shift + 600000}, ${now} from n`.execute(store.db);
    console.log(label);
    for (let i = 0; i < 4; i++) {
      let t = performance.now(); await nextDueTime(store.db, now); console.log("next", (performance.now() - t).toFixed(2));
      t = performance.now(); let ex = 0; const rows = await claim(store, now, { leaseMs: 1000, most: 4, leaseId: "l" + i, onExpired: (r) => { ex = r.length; } }); console.log("claim", rows.length, ex, (performance.now() - t).toFixed(2));
      t = performance.now(); for (const r of rows) await settle(store, now, r, { kind: "sent" }); console.log("settle", (performance.now() - t).toFixed(2));
    }
  }
}, 200_000);
