import { codeIn, startTestApp } from "../app.ts";
import { addUser, addVerified } from "../users.ts";

/** The address of the user `u`. */
export const address = "mini@mouse.com";

/** The link to the verify page in the text of a mail, or "". */
export function linkIn(text: string): string {
  return /^http\S+\/verify\?h=\S+$/m.exec(text)?.[0] ?? "";
}

/** The handle in this link, or "". */
export function handleIn(text: string): string {
  return /\/verify\?h=([\w.~-]+)$/m.exec(text)?.[1] ?? "";
}

/** The code of a login mail: it is on a line of its own. */
export function loginCodeIn(text: string): string {
  return /^\d{6}$/m.exec(text)?.[0] ?? "";
}

/** A service with a pending address and the mail to verify it. */
export async function startEnrolment(environment: Record<string, string> = {}) {
  const test = await startTestApp({ environment });
  const admin = await test.admin();
  await addUser(admin);
  const { otpEmailId } = await admin.addOTPEmail({ userId: "u", email: { address } });
  const [mail] = await test.mails(address);
  const { text } = mail!;
  return {
    test,
    admin,
    otpEmailId,
    mail: mail!,
    link: linkIn(text),
    handle: handleIn(text),
    code: codeIn(mail!),
  };
}

/** A service with a pending login and its mail. `answer` completes the login. */
export async function startLogin() {
  const test = await startTestApp();
  const admin = await test.admin();
  await addUser(admin);
  const otpEmailId = await addVerified(admin);
  const token = await test.token("login", { org: "o", permissions: ["otp.challenge"] });
  const client = test.challengeClient(token);
  const audience = "https://app.example.com";
  const { challengeId } = await client.createOTPEmailChallenge({ userId: "u", otpEmailId, audience });
  const [mail] = await test.mails(address);
  const { text } = mail!;
  const code = loginCodeIn(text);
  const answer = { userId: "u", otpEmailId, challengeId, code };
  return { test, admin, client, answer, mail: mail!, link: linkIn(text), handle: handleIn(text), code };
}
