import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sql } from "kysely";
import { describe, expect, it } from "vitest";
import { DeliveryState } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { startTestApp, type UserClient } from "../../support/app.ts";
import { MovableClock } from "../../support/clock.ts";
import { temporaryFolder } from "../../support/folder.ts";
import * as shapes from "../../support/mail/notifications.ts";
import { refusal, startRelay } from "../../support/mail/relay.ts";
import { runCommand } from "../../support/process/process.ts";
import { addUser, addVerified } from "../../support/users.ts";
import { waitFor } from "../../support/wait-for.ts";

const address = "mini@mouse.com";
const secret = Buffer.alloc(32, 7).toString("base64");
const minute = 60_000;

/** Starts a server with a relay. `run` runs a command on its data meanwhile. */
async function start() {
  const says: { rcpt?: Error } = {};
  const relay = await startRelay({
    onRcptTo: (_address, _session, callback) => callback(says.rcpt ?? null),
  });
  const keys = { COUNTERSIGN_KEYS: `k:${secret}` };
  const test = await startTestApp({
    // The commands use the real time.
    clock: new MovableClock(Date.now()),
    environment: {
      ...keys,
      COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
      COUNTERSIGN_BOUNCE_ADDRESS: "bounces@example.com",
    },
  });
  const client = await test.admin();
  await addUser(client);
  const run = (...args: string[]) => runCommand(args, { COUNTERSIGN_DATA_DIR: test.dataDir, ...keys });
  return { test, client, relay, says, run };
}

type Started = Awaited<ReturnType<typeof start>>;

/** Adds the address and waits until its mail is settled. Returns the ids of both. */
async function sendMail({ test, client }: Pick<Started, "test" | "client">, to = address, userId = "u") {
  const { otpEmailId } = await client.addOTPEmail({ userId, email: { address: to } });
  await settled(client, otpEmailId, userId);
  const mail = await test.app.store.db
    .selectFrom("outbox")
    .selectAll()
    .where("otp_email_id", "=", otpEmailId)
    .executeTakeFirstOrThrow();
  return { otpEmailId, mailId: String(mail.mail_id) };
}

async function settled(client: UserClient, otpEmailId: string, userId = "u") {
  return waitFor("the mail is settled", async () => {
    const { otpEmail } = await client.getOTPEmail({ userId, otpEmailId });
    return otpEmail?.lastMail?.settleTime && otpEmail.lastMail;
  });
}

/** Writes notifications of these shapes about the mail that the relay received. Returns the path. */
function notificationFile({ relay }: Pick<Started, "relay">, ...wanted: shapes.Shape[]): string {
  const { from = "", raw = "" } = relay.received[0] ?? {};
  const messageId = /^Message-ID: (<.+>)\r$/m.exec(raw)?.[1] ?? "";
  const path = join(temporaryFolder(), "mbox");
  const messages = wanted.map(
    (shape) => `From MAILER-DAEMON Mon\n${shape({ returnPath: from, messageId })}\n`,
  );
  writeFileSync(path, messages.join(""));
  return path;
}

const counted = (text: string) => text.match(/\d+/g)?.map(Number);

describe("countersign bounce", () => {
  it.each<[string, shapes.Shape, number[], DeliveryState, string]>([
    [
      "that bounced, by its return path",
      shapes.postfix,
      [1, 1, 1, 0, 0, 0],
      DeliveryState.FAILED,
      "bounce 5.1.1",
    ],
    [
      "that bounced, by its Message-ID",
      shapes.exchange,
      [1, 1, 1, 0, 0, 0],
      DeliveryState.FAILED,
      "bounce 5.1.10",
    ],
    ["that was refused by a policy", shapes.exim, [1, 1, 0, 0, 0, 0], DeliveryState.FAILED, "bounce 5.7.1"],
    ["that is delayed", shapes.delayed, [1, 0, 0, 1, 0, 0], DeliveryState.SENT, "delayed 4.4.1"],
    ["that was delivered", shapes.delivered, [1, 0, 0, 0, 0, 1], DeliveryState.SENT, ""],
  ])("finds the mail %s", async (_, shape, counts, state, reason) => {
    const started = await start();
    const { otpEmailId } = await sendMail(started);
    const { code, stdout } = await started.run("bounce", notificationFile(started, shape));
    expect(code).toBe(0);
    expect(counted(stdout)).toEqual(counts);
    expect(await settled(started.client, otpEmailId)).toMatchObject({ state, reason });
  });

  it("reads a whole mbox, and changes nothing when it reads it again", async () => {
    const started = await start();
    await sendMail(started);
    const { delayed, outOfOffice, huge, gmail } = shapes;
    const path = notificationFile(started, delayed, outOfOffice, huge, gmail);
    expect(counted((await started.run("bounce", path)).stdout)).toEqual([4, 1, 1, 1, 1, 1]);
    expect(counted((await started.run("bounce", path)).stdout)).toEqual([4, 0, 0, 0, 3, 1]);
    const { db } = started.test.app.store;
    expect(await db.selectFrom("suppressions").select("count").execute()).toEqual([{ count: 1 }]);
  });

  it.each<[string, (about: shapes.About) => shapes.About]>([
    [
      "a forged MAC",
      (about) => ({
        ...about,
        returnPath: about.returnPath.replace(/.@/, (end) => (end === "0@" ? "1@" : "0@")),
      }),
    ],
    ["an id without a MAC", (about) => ({ ...about, returnPath: about.returnPath.replace(/-[^@]*/, "") })],
    ["only the sender as its return path", (about) => ({ ...about, returnPath: "countersign@dev.example" })],
  ])("ignores a notification with %s", async (_, forge) => {
    const started = await start();
    const { otpEmailId } = await sendMail(started);
    const shape: shapes.Shape = (about) =>
      shapes.postfix(forge({ ...about, messageId: "<made-up@otp.example.com>" }));
    const { stdout } = await started.run("bounce", notificationFile(started, shape));
    expect(counted(stdout)).toEqual([1, 0, 0, 0, 0, 1]);
    expect(await settled(started.client, otpEmailId)).toMatchObject({ state: DeliveryState.SENT });
  });

  it("reads standard input, as mail servers pipe mails to programs", async () => {
    const started = await start();
    await sendMail(started);
    const input = readFileSync(notificationFile(started, shapes.postfix));
    const main = fileURLToPath(new URL("../../../dist/src/main.js", import.meta.url));
    const child = spawn(process.execPath, [main, "bounce"], {
      env: {
        PATH: process.env.PATH,
        COUNTERSIGN_DATA_DIR: started.test.dataDir,
        COUNTERSIGN_KEYS: `k:${secret}`,
      },
    });
    child.stdin.end(input);
    let stdout = "";
    for await (const chunk of child.stdout) stdout += chunk;
    expect(counted(stdout)).toEqual([1, 1, 1, 0, 0, 0]);
  });

  it("reports a missing file, missing keys and a missing database", async () => {
    const { run, test } = await start();
    const missing = await run("bounce", join(temporaryFolder(), "none"));
    expect(missing).toMatchObject({ code: 1, stdout: "" });
    expect((await run("bounce", "a", "b")).code).toBe(2);
    const noKeys = await runCommand(["bounce"], { COUNTERSIGN_DATA_DIR: test.dataDir });
    expect(noKeys).toMatchObject({ code: 1, stderr: expect.stringContaining("COUNTERSIGN_KEYS is missing") });
    const folder = temporaryFolder();
    const nothing = await runCommand(["bounce"], {
      COUNTERSIGN_DATA_DIR: folder,
      COUNTERSIGN_KEYS: `k:${secret}`,
    });
    expect(nothing).toMatchObject({ code: 1, stderr: expect.stringContaining("COUNTERSIGN_DATA_DIR") });
  });
});

describe("countersign suppression", () => {
  it("lists the authenticators of a suppressed address in all organizations, and releases it", async () => {
    const started = await start();
    const { run, client, relay, test } = started;
    const { otpEmailId } = await sendMail(started);
    await run("bounce", notificationFile(started, shapes.postfix));
    await addUser(client, "v", "p");
    const other = await addVerified(client, "v", address);

    const { stdout } = await run("suppression", "list");
    expect(stdout).toMatch(new RegExp(`m\\*\\*\\*@mouse.com +${otpEmailId} +u +o +5.1.1 +notification +1 `));
    expect(stdout).toMatch(new RegExp(`m\\*\\*\\*@mouse.com +${other} +v +p +5.1.1 `));
    expect(stdout).not.toContain(address);
    expect((await run("suppression", "list", "--addresses")).stdout).toContain(address);

    for (const name of ["nobody@mouse.com", address.toUpperCase(), otpEmailId]) {
      const { code, stdout } = await run("suppression", "release", name);
      expect([code, stdout.trim()]).toEqual([
        0,
        name === address.toUpperCase()
          ? "mails are sent to this address again"
          : "the address is not suppressed",
      ]);
    }
    expect((await run("suppression", "release", "1")).code).toBe(2);
    expect((await run("suppression", "list")).stdout.trim()).toBe("no address is suppressed");
    test.clock.move(minute);
    await client.resendOTPEmailCode({ userId: "u", otpEmailId });
    await waitFor("the mail comes", () => relay.received.length === 2);
  });

  it("lists addresses of removed authenticators, page by page", async () => {
    const started = await start();
    const { run, client, says } = started;
    says.rcpt = refusal(550, "5.1.1 no");
    const { otpEmailId } = await sendMail(started, "a@mouse.com");
    await sendMail(started, "b@mouse.com");
    await client.removeOTPEmail({ userId: "u", otpEmailId });
    const { stdout } = await run("suppression", "list", "--limit", "1");
    expect(stdout).toContain("more: --skip 1");
    const all = stdout + (await run("suppression", "list", "--limit", "1", "--skip", "1")).stdout;
    expect(all).toMatch(/b\*\*\*@mouse.com .* relay/);
    expect(all).toMatch(/\(removed\) .* relay/);
  });
});

describe("countersign outbox", () => {
  it("lists mails by state, organization and page, without addresses or codes", async () => {
    const started = await start();
    const { run, client, says } = started;
    const sent = await sendMail(started, "a@mouse.com");
    says.rcpt = refusal(550, "5.7.1 no");
    const failed = await sendMail(started, "b@mouse.com");
    await addUser(client, "v", "p");
    const foreign = await sendMail(started, "c@mouse.com", "v");
    const listed = async (...args: string[]) => {
      const { stdout } = await run("outbox", "list", ...args);
      expect(stdout).not.toMatch(/[abc]@mouse/);
      return [...stdout.matchAll(/^(\d+) /gm)].map(([, id]) => id);
    };
    expect(await listed()).toEqual([foreign.mailId, failed.mailId, sent.mailId]);
    expect(await listed("--state", "failed")).toEqual([foreign.mailId, failed.mailId]);
    expect(await listed("--state", "failed", "--org", "o")).toEqual([failed.mailId]);
    expect(await listed("--limit", "1")).toEqual([foreign.mailId]);
    expect(await listed("--before", foreign.mailId)).toEqual([failed.mailId, sent.mailId]);
    const { stdout } = await run("outbox", "list", "--addresses", "--limit", "2");
    expect(stdout).toContain("b@mouse.com");
    expect(stdout).toContain(`more: --before ${failed.mailId}`);
    expect(stdout).toContain("550 5.7.1 rcpt");
    for (const args of [["--state", "lost"], ["--limit", "0"], ["--before", "x"], ["x"]]) {
      expect((await run("outbox", "list", ...args)).code).toBe(2);
    }
  });

  it("sends a failed mail again with its code and Message-ID", async () => {
    const started = await start();
    const { run, client, relay, says, test } = started;
    says.rcpt = refusal(550, "5.7.1 no");
    const { otpEmailId, mailId } = await sendMail(started);
    delete says.rcpt;
    const { code, stdout } = await run("outbox", "retry", mailId);
    expect([code, stdout.trim()]).toEqual([0, `${mailId} queued again`]);
    expect((await run("outbox", "retry", mailId)).stdout).toContain("it has not failed");
    test.clock.move(5_000);
    const mail = await waitFor("the mail comes", () => relay.received[0]);
    const typed = /^[0-9A-Z]{8}\r$/m.exec(mail.raw)?.[0].trim() ?? "";
    await client.verifyOTPEmail({ userId: "u", otpEmailId, code: typed });
  });

  it("says why it doesn't send a mail again", async () => {
    const started = await start();
    const { run, client, says, test } = started;
    says.rcpt = refusal(550, "5.7.1 no");
    // A user of its own: the verified address is notified of changes to the others of its user.
    await addUser(client, "w");
    const verified = await sendMail(started, "a@mouse.com", "w");
    await addVerified(client, "w", "a@mouse.com");
    const expired = await sendMail(started, "b@mouse.com");
    await test.app.store.write((trx) =>
      sql`update outbox set expire_time = ${Date.now()} where mail_id = ${expired.mailId}`.execute(trx),
    );
    says.rcpt = refusal(550, "5.1.1 no");
    const unknown = await sendMail(started, "c@mouse.com");
    says.rcpt = refusal(550, "5.7.1 no");
    const good = await sendMail(started, "d@mouse.com");
    await addUser(client, "v");
    const locked = await sendMail(started, "e@mouse.com", "v");
    await client.lockUser({ userId: "v" });

    const one = async (mailId: string) => (await run("outbox", "retry", mailId)).stdout;
    expect(await one(verified.mailId)).toContain("its code is no longer valid");
    expect(await one(expired.mailId)).toContain("its code is no longer valid");
    expect(await one(unknown.mailId)).toContain("suppressed");
    expect(await one(locked.mailId)).toContain("not active");
    expect(await one("1")).toContain("no such mail");
    expect((await run("outbox", "retry", "1")).code).toBe(1);

    const all = await run("outbox", "retry", "--all-failed");
    expect(all.code).toBe(1);
    expect(all.stdout.trim().split("\n")).toHaveLength(4);
    expect(all.stdout).toContain(`${good.mailId} queued again`);
    for (const args of [["retry"], ["retry", "1", "--all-failed"], ["retry", "1", "2"], []]) {
      expect((await run("outbox", ...args)).code).toBe(2);
    }
  });
});
