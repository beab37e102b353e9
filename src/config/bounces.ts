import * as v from "valibot";
import { parseEmailAddress } from "../lib/email-address.ts";
import { bounceLocalPartMax } from "../otp/codes/return-path.ts";
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
  }, `must be an address such as bounces@example.com: up to ${bounceLocalPartMax} characters before the @, without a +, which takes the place of what is added for each mail`),
);

/** As Standard Webhooks writes it: `whsec_` is part of the notation, not of the secret. */
const webhookSecret = v.pipe(
  text,
  v.regex(
    /^(whsec_)?[A-Za-z0-9+/]+={0,2}$/,
    "must be whsec_ and base64: echo whsec_$(openssl rand -base64 32) makes one",
  ),
  v.transform((value) => Buffer.from(value.replace(/^whsec_/, ""), "base64")),
  v.check(({ length }) => length >= 24 && length <= 64, "must have 24 to 64 bytes (Standard Webhooks)"),
);

/** Where mails come back to, and with what reports of that are signed. */
export const bounceEntries = {
  COUNTERSIGN_BOUNCE_ADDRESS: v.optional(bounceAddress),
  COUNTERSIGN_BOUNCE_WEBHOOK_SECRET: v.optional(webhookSecret),
};
