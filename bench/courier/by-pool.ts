import { createTransport } from "nodemailer";
import { builtInTemplate } from "../../src/mail/templates/mail-templates.ts";
import { renderSample } from "../../src/mail/templates/sample.ts";
import { addressOf, sender } from "./mail.ts";

/** The maximum of mails that the courier sends at a time. */
const connections = 20;

/** Returns a function that sends one prepared mail to all recipients with nodemailer's pool, without storing anything. */
export async function sendByPool(count: number, smtpUrl: string): Promise<() => Promise<void>> {
  const { subject, text, html } = renderSample("verification", {
    templates: builtInTemplate,
    language: "en",
    orgId: "bench",
    serviceName: sender.name,
    publicUrl: "https://otp.example.com",
    codeInSubject: false,
  });
  const { hostname, port } = new URL(smtpUrl);
  return async () => {
    const transport = createTransport({
      pool: true,
      host: hostname,
      port: Number(port),
      maxConnections: connections,
      maxMessages: Number.POSITIVE_INFINITY,
    });
    let next = 0;
    const work = async () => {
      while (next < count) {
        const to = { name: "", address: addressOf(next++) };
        await transport.sendMail({ from: sender, to, subject, text, html });
      }
    };
    await Promise.all(Array.from({ length: connections }, work));
    transport.close();
  };
}
