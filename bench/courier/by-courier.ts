import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { defaultPolicy } from "../../src/config/limits.ts";
import { openStore } from "../../src/db/store.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { parseEmailAddress } from "../../src/lib/email-address.ts";
import { startCourier } from "../../src/mail/courier/courier.ts";
import { openSenders } from "../../src/mail/providers/senders.ts";
import { builtInTemplate } from "../../src/mail/templates/mail-templates.ts";
import { createKeyRing } from "../../src/otp/codes/keys.ts";
import type { OTPContext } from "../../src/otp/context.ts";
import { composeMail } from "../../src/otp/delivery/compose-mail.ts";
import { recordSettled } from "../../src/otp/delivery/record-settled.ts";
import { addOTPEmail } from "../../src/otp/enrolment/add.ts";
import { createUser } from "../../src/users/user.ts";
import { addressOf, sender } from "./mail.ts";

const orgId = "bench";
/** As many writes as a store lets wait. */
const writesAtATime = 1_000;
const caller = { actor: "bench", caller: undefined, clientAddress: undefined, reason: undefined };

/** Queues mails in a SQLite file as the service does. Returns a function that starts the courier and resolves after the last mail. */
export async function sendByCourier(count: number, smtpUrl: string): Promise<() => Promise<void>> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  process.on("exit", () => rmSync(folder, { recursive: true }));
  const store = openStore(`sqlite:${join(folder, "courier.db")}`);
  await store.migrate();
  const otp: OTPContext = {
    store,
    clock: systemClock,
    keys: createKeyRing([{ id: "k", secret: Buffer.alloc(32, 1) }]),
    policy: { ...defaultPolicy, mails: { ...defaultPolicy.mails, allHourMax: 1_000_000 } },
    messageIdDomain: "otp.example.com",
    mailQueued: () => {},
  };
  for (let first = 0; first < count; first += writesAtATime) {
    const length = Math.min(writesAtATime, count - first);
    await Promise.all(Array.from({ length }, (_, i) => queueMail(otp, first + i)));
  }

  return async () => {
    const log = { info() {}, warn: console.error, error: console.error };
    await using mailer = await openSenders({
      clock: systemClock,
      log,
      defaultSender: { smtpUrl, from: sender },
      organizations: {},
    });
    const identity = {
      publicUrl: "https://otp.example.com",
      serviceName: sender.name,
      templates: builtInTemplate,
      defaultLanguage: "en",
      codeInSubject: false,
    } as const;
    await new Promise<void>((resolve) => {
      let left = count;
      startCourier({
        store,
        clock: systemClock,
        mailer,
        log,
        compose: (row) => composeMail(otp, identity, row),
        onSettle: (trx, row) => recordSettled(trx, otp, row),
        onSettled({ state }) {
          if (state !== "sent") throw new Error(`a mail was not sent but ${state}`);
          if (--left === 0) resolve();
        },
      });
    });
  };
}

async function queueMail(otp: OTPContext, i: number): Promise<void> {
  const userId = `user-${i}`;
  await createUser(otp.store, otp.clock, { ...caller, userId, orgId });
  const parsed = parseEmailAddress(addressOf(i));
  if (!parsed.ok) throw new Error(parsed.problem);
  await addOTPEmail(otp, {
    ...caller,
    userId,
    orgId,
    address: parsed.address,
    verification: { kind: "send_code", urlTemplate: null },
  });
}
