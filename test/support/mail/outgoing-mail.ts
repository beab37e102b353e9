import type { OutgoingMail } from "../../../src/mail/mailer.ts";

export const code = "ABCD2345";

export const mail: OutgoingMail = {
  to: "mini@mouse.com",
  subject: "Your code",
  text: `Your code:\n\n${code}\n`,
  html: `<p>${code}</p>`,
  messageId: "<abc@id.example>",
  date: new Date("2026-11-23T09:00:00Z"),
};

export const from = { name: "Countersign", address: "codes@example.com" };

export const never = new AbortController().signal;
