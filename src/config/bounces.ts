import * as v from "valibot";
import { parseEmailAddress } from "../lib/email-address.ts";
import { bounceLocalPartMax } from "../otp/codes/return-path.ts";
import type { Settings } from "./setting.ts";
import { text } from "./values.ts";

const bounceAddress = v.pipe(
  text,
  v.transform((value) => {
    const parsed = parseEmailAddress(value);
    return parsed.ok ? parsed.address.mailbox : "";
  }),
  v.check((mailbox) => {
    const local = mailbox.slice(0, mailbox.lastIndexOf("@"));
    return local !== "" && local.length <= bounceLocalPartMax && !local.includes("+");
  }, `must be an address such as bounces@example.com, with up to ${bounceLocalPartMax} characters before the @ and no + among them`),
);

/** A secret as Standard Webhooks writes it: the prefix `whsec_` isn't part of the secret. */
const webhookSecret = v.pipe(
  text,
  v.regex(
    /^(whsec_)?[A-Za-z0-9+/]+={0,2}$/,
    "must be whsec_ and base64: echo whsec_$(openssl rand -base64 32) makes one",
  ),
  v.transform((value) => Buffer.from(value.replace(/^whsec_/, ""), "base64")),
  v.check(({ length }) => length >= 24 && length <= 64, "must have 24 to 64 bytes (Standard Webhooks)"),
);

export const bounceSettings = {
  COUNTERSIGN_BOUNCE_ADDRESS: {
    check: bounceAddress,
    unset: "mails bounce to their sender",
    help:
      "Address that mails bounce to, such as `bounces@example.com`. Each mail has a return path of its own, " +
      "`bounces+MAIL@example.com`, which must be delivered there too",
  },
  COUNTERSIGN_BOUNCE_WEBHOOK_SECRET: {
    check: webhookSecret,
    unset: "no webhook",
    isSecret: true,
    help: "Secret that reports to the webhook `/webhooks/bounces` are signed with: `whsec_BASE64` (Standard Webhooks)",
  },
} satisfies Settings;
