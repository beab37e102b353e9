import { type App, createApp } from "../../app/app.ts";
import { type Config, readConfig } from "../../config/config.ts";
import { Refusal } from "../../lib/refusal.ts";
import { hourMs } from "../../lib/time.ts";
import { createUser } from "../../users/user.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { runServer } from "../run-server.ts";

export const dev = defineCommand({
  name: "dev",
  usage: "",
  help:
    "Start a development server with a demo user and a mailbox that catches every mail. It prints a token and " +
    "commands to paste.",
  options: {},
  async run() {
    await runServer(() => startDev(readConfig("dev")));
    return exitCodes.ok;
  },
});

const orgId = "demo";
const userId = "demo-user";

async function startDev(config: Config): Promise<App> {
  const app = await createApp(config, {
    onMail: ({ to, subject }) => console.log(`mail to ${to}: ${subject} (${app.origin}/dev/mailbox)`),
  });
  await createDemoUser(app);
  console.log(await welcome(app, config));
  return app;
}

async function createDemoUser({ store, clock }: App): Promise<void> {
  try {
    await createUser(store, clock, { userId, orgId, displayName: "Demo User", actor: "countersign-dev" });
  } catch (error) {
    // Created by an earlier start.
    if (error instanceof Refusal && error.reason === "USER_ALREADY_EXISTS") return;
    throw error;
  }
}

async function welcome(app: App, config: Config): Promise<string> {
  const token = await app.localIssuer?.issue(
    {
      subject: "countersign-dev",
      audience: config.audience,
      org: orgId,
      permissions: ["user.read", "user.write"],
      ttlMs: 12 * hourMs,
    },
    app.clock,
  );
  const users = `${app.origin}/v3alpha/users`;
  return `
Countersign listens at ${app.origin}
${config.smtpUrl === undefined ? `Mails are caught at    ${app.origin}/dev/mailbox` : "Mails are sent through COUNTERSIGN_SMTP_URL"}

Paste this to add an address to the user ${userId}, read the code in the mail, and verify the address.
(The token is valid for 12 hours, in the organization ${orgId}. Don't use this server in production.)

TOKEN=${token}

curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  ${users}/${userId}/otp_email -d '{"email":{"address":"mini@mouse.com"}}'

curl -s '${app.origin}/dev/mailbox/messages?to=mini@mouse.com'

curl -s -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \\
  ${users}/${userId}/otp_email/OTP_EMAIL_ID/verify -d '{"code":"CODE"}'

curl -s -H "Authorization: Bearer $TOKEN" ${users}/${userId}
`;
}
