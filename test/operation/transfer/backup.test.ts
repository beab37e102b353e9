import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import Database from "better-sqlite3";
import { describe, expect, it } from "vitest";
import { backUp, restore } from "../../../src/operation/transfer/backup.ts";
import { startTestApp } from "../../support/app.ts";
import { outcomeOf } from "../../support/errors.ts";
import { temporaryFolder } from "../../support/folder.ts";
import { runCommand, startCommand } from "../../support/process/process.ts";
import { rounds } from "../../support/soak.ts";
import { addPending, addUser, addVerified } from "../../support/users.ts";

const urlOf = (dataDir: string) => `sqlite:${join(dataDir, "countersign.db")}`;

describe("F07 a backup", () => {
  it("taken repeatedly under load is a consistent snapshot each time", async () => {
    const test = await startTestApp();
    const client = await test.admin("gRPC");
    for (let i = 0; i < 20; i++) await addUser(client, `u${i}`);
    const folder = temporaryFolder();
    let isOver = false;
    const load = Promise.all(
      Array.from({ length: 8 }, async (_, worker) => {
        for (let i = 0; !isOver; i++) {
          const userId = `u${(worker * 7 + i) % 20}`;
          const added = await addPending(client, userId, `a${worker}@x.io`);
          await client.removeOTPEmail({ userId, otpEmailId: added.otpEmailId });
        }
      }),
    );
    const counts: number[] = [];
    for (let i = 0; i < rounds(10, 200); i++) {
      const file = join(folder, `${i}.db`);
      await backUp(urlOf(test.dataDir), file);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const copy = new Database(file, { readonly: true });
      // Each event and the sequence of its user are written in one transaction.
      const torn = copy
        .prepare(
          `select count(*) from users where sequence <> (select count(*) from events where events.user_id = users.user_id)`,
        )
        .pluck()
        .get();
      expect(torn).toBe(0);
      expect(copy.pragma("integrity_check", { simple: true })).toBe("ok");
      counts.push(copy.prepare("select count(*) from events").pluck().get() as number);
      copy.close();
    }
    isOver = true;
    await load;
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(counts.at(-1)).toBeGreaterThan(counts[0]!);
  });

  it("that is restored revives no code, neither used since nor still live", async () => {
    const test = await startTestApp();
    const client = await test.admin();
    await addUser(client);
    const used = await addPending(client, "u", "used@x.io");
    const live = await addPending(client, "u", "live@x.io");
    const verified = await addVerified(client, "u", "verified@x.io");
    const file = join(temporaryFolder(), "copy.db");
    await backUp(urlOf(test.dataDir), file);
    await client.verifyOTPEmail({ userId: "u", ...used });
    await test.app[Symbol.asyncDispose]();

    const dataDir = temporaryFolder();
    for (const key of ["code-key", "local-issuer.json", "proof-key.json"]) {
      const from = join(test.dataDir, key);
      if (existsSync(from)) writeFileSync(join(dataDir, key), readFileSync(from), { mode: 0o600 });
    }
    await restore(file, urlOf(dataDir));
    const restored = await startTestApp({ dataDir, clock: test.clock });
    const again = await restored.admin();
    for (const pending of [used, live])
      expect(await outcomeOf(again.verifyOTPEmail({ userId: "u", ...pending }))).toBe("CODE_EXPIRED");
    const { otpEmails } = await again.listOTPEmails({ userId: "u" });
    expect(otpEmails.filter((otpEmail) => otpEmail.isVerified).map((o) => o.otpEmailId)).toEqual([verified]);
    // A new code works.
    const fresh = await addPending(again, "u", "live@x.io");
    expect(await outcomeOf(again.verifyOTPEmail({ userId: "u", ...fresh }))).toBe("OK");
  });

  it("replaces no file, and neither does a restore", async () => {
    const test = await startTestApp();
    const folder = temporaryFolder();
    const file = join(folder, "copy.db");
    writeFileSync(file, "mine");
    await expect(backUp(urlOf(test.dataDir), file)).rejects.toThrow(/exists already/);
    expect(readFileSync(file, "utf8")).toBe("mine");
    const good = join(folder, "good.db");
    await backUp(urlOf(test.dataDir), good);
    await expect(restore(good, urlOf(test.dataDir))).rejects.toThrow(/exists: move it away/);
    await expect(restore(file, urlOf(temporaryFolder()))).rejects.toThrow(
      /copy.db is not an intact database/,
    );
    expect(readdirSync(folder).toSorted()).toEqual(["copy.db", "good.db"]);
  });

  it.each([
    ["is cut off", (bytes: Buffer) => bytes.subarray(0, bytes.length - 4096)],
    ["has a broken page", (bytes: Buffer) => bytes.fill(0xa5, 4096 * 3, 4096 * 4)],
  ])("that %s is not restored and leaves no files", async (_, damage) => {
    const test = await startTestApp();
    const file = join(temporaryFolder(), "copy.db");
    await backUp(urlOf(test.dataDir), file);
    writeFileSync(file, damage(readFileSync(file)));
    const dataDir = temporaryFolder();
    await expect(restore(file, urlOf(dataDir))).rejects.toThrow(/copy.db is not an intact database/);
    expect(readdirSync(dataDir)).toEqual([]);
  });

  it("is made and restored with the commands of the README", async () => {
    const dataDir = join(temporaryFolder(), "data");
    const settings = { COUNTERSIGN_DATA_DIR: dataDir };
    const file = join(temporaryFolder(), "copy.db");
    const server = await startCommand(["dev"], settings);
    const made = await runCommand(["backup", file], settings);
    expect(made).toMatchObject({ code: 0, stdout: expect.stringContaining(`${file} holds the database`) });
    expect((await runCommand(["backup", file], settings)).stderr).toMatch(/exists already/);
    expect((await runCommand(["restore", file], settings)).stderr).toMatch(/move it away first/);
    server.child.kill("SIGTERM");
    await server.finished();
    execFileSync("rm", ["-f", ...["", "-wal", "-shm"].map((part) => join(dataDir, `countersign.db${part}`))]);
    expect(await runCommand(["restore", file], settings)).toMatchObject({ code: 0 });
    const again = await startCommand(["dev"], settings);
    expect((await fetch(`${again.origin}/readyz`)).status).toBe(200);
  });

  it("of PostgreSQL is refused and left to its tools", async () => {
    const file = join(temporaryFolder(), "copy.db");
    await expect(backUp("postgres://u:secret@h/d", file)).rejects.toThrow(/pg_dump/);
    expect(existsSync(file)).toBe(false);
  });
});
