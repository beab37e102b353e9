import type { Mail, TestApp, UserClient } from "./app.ts";

/** Creates a user in an organization. */
export async function addUser(client: UserClient, userId = "u", orgId = "o"): Promise<void> {
  await client.createUser({ userId, organization: { org: { case: "orgId", value: orgId } } });
}

let userCount = 0;

/** Creates a user with a new id and returns it, with a new address, for tests that share an app. */
export async function newUser(test: TestApp, orgId = "o"): Promise<{ userId: string; address: string }> {
  const userId = `user-${++userCount}`;
  await addUser(await test.admin(), userId, orgId);
  return { userId, address: `${userId}@mouse.com` };
}

/** Adds an unverified address, without a mail. */
export async function addPending(client: UserClient, userId = "u", address = "mini@mouse.com") {
  const email = { address, verification: { case: "returnCode", value: {} } } as const;
  const { otpEmailId, verificationCode = "" } = await client.addOTPEmail({ userId, email });
  return { otpEmailId, code: verificationCode };
}

/** Adds a verified address and returns its id. */
export async function addVerified(client: UserClient, userId = "u", address = "mini@mouse.com") {
  const email = { address, verification: { case: "isVerified", value: true } } as const;
  return (await client.addOTPEmail({ userId, email })).otpEmailId;
}

/** The types of a user's events, oldest first. Without those of mails, which are added later by the courier. */
export async function eventTypes(test: TestApp, userId = "u"): Promise<string[]> {
  const rows = await test.app.store.db
    .selectFrom("events")
    .select("type")
    .where("user_id", "=", userId)
    .where("type", "not like", "mail.%")
    .orderBy("position")
    .execute();
  return rows.map((row) => row.type);
}

/** The mails that the mailbox has now. */
export async function mailsNow(test: TestApp, to: string): Promise<Mail[]> {
  const url = `${test.origin}/dev/mailbox/messages?to=${encodeURIComponent(to)}`;
  return (await (await fetch(url)).json()) as Mail[];
}
