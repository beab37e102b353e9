import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it } from "vitest";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { migrations } from "../../src/db/migrations/index.ts";
import { codeIn, type Mail } from "../support/app.ts";
import { outcomeOf } from "../support/errors.ts";
import { temporaryFolder } from "../support/folder.ts";
import { type Running, runCommand, startCommand } from "../support/process/process.ts";
import { proofKey } from "../support/proof-key.ts";
import { settingNames } from "../support/setting-names.ts";
import { rounds } from "../support/soak.ts";

const sh = promisify(execFile);

const dataFolder = () => ({ COUNTERSIGN_DATA_DIR: join(temporaryFolder(), "data") });

const serveSettings = () => ({
  ...dataFolder(),
  COUNTERSIGN_PUBLIC_URL: "https://otp.example.com",
  COUNTERSIGN_KEYS: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
  COUNTERSIGN_PROOF_KEYS: proofKey(),
  COUNTERSIGN_ISSUERS: "local",
  COUNTERSIGN_AUDIENCE: "countersign",
  COUNTERSIGN_SMTP_URL: "smtp://127.0.0.1:1",
  COUNTERSIGN_MAIL_FROM: "codes@example.com",
});

describe("countersign", () => {
  it("prints its help with every command and every setting", async () => {
    const { code, stdout } = await runCommand(["--help"]);
    expect(code).toBe(0);
    for (const command of ["dev", "serve", "migrate", "token"])
      expect(stdout).toMatch(new RegExp(`^ {2}${command} `, "m"));
    const settings = settingNames();
    expect(settings.size).toBeGreaterThan(20);
    for (const setting of settings) expect(stdout).toMatch(new RegExp(`^ {2}${setting} `, "m"));
  });

  it.each([
    [["explode"], /no command "explode"/],
    [["serve", "--port", "1"], /Unknown option '--port'/],
    [["token"], /--subject is missing/],
    [["token", "--subject", "a", "--permission", "root"], /--permission must be/],
    [["token", "--subject", "a", "--ttl", "soon"], /--ttl must be/],
  ])("says how to correct the command line %j", async (args, message) => {
    const { code, stdout, stderr } = await runCommand(args, dataFolder());
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(message);
  });
});

describe("countersign dev", () => {
  it("prints commands that work as pasted, up to a verified authenticator", async () => {
    const dev = await startCommand(["dev"], dataFolder());
    const lines = await welcomeOf(dev);
    const token = /^TOKEN=.+$/m.exec(lines)![0];
    const [add, read, verify, get] = lines.match(/^curl (?:.*\\\n)*.*$/gm)!;
    const paste = async (command: string) => (await sh("bash", ["-c", `${token}\n${command}`])).stdout;

    const added = JSON.parse(await paste(add!)) as { otpEmailId: string };
    expect(added).toMatchObject({
      details: { sequence: "2", resourceOwner: "demo" },
      otpEmailId: expect.any(String),
    });
    let mails: Mail[] = [];
    for (let tries = 0; mails.length === 0 && tries < 200; tries++) {
      mails = JSON.parse(await paste(read!)) as Mail[];
      await sleep(25);
    }
    const filled = verify!.replace("OTP_EMAIL_ID", added.otpEmailId).replace("CODE", codeIn(mails[0]!));
    expect(JSON.parse(await paste(filled))).toMatchObject({ details: { resourceOwner: "demo" } });
    expect(JSON.parse(await paste(get!))).toMatchObject({
      user: {
        userId: "demo-user",
        state: "USER_STATE_ACTIVE",
        authenticators: {
          otpEmail: [{ otpEmailId: added.otpEmailId, address: "mini@mouse.com", isVerified: true }],
        },
      },
    });
    expect(dev.stdout()).toMatch(/^mail to mini@mouse.com: /m);
  });

  it("keeps its data: the user and the token survive a restart", async () => {
    const data = dataFolder();
    const first = await startCommand(["dev"], data);
    const token = /^TOKEN=(.+)$/m.exec(await welcomeOf(first))![1];
    first.child.kill("SIGTERM");
    expect((await first.finished()).code).toBe(0);
    const second = await startCommand(["dev"], data);
    const reply = await fetch(`${second.origin}/v3alpha/users/demo-user`, {
      headers: { authorization: `Bearer ${token}` },
    });
    expect(reply.status).toBe(200);
  });
});

describe("countersign token", () => {
  it("prints nothing but a token, which the server of the same folder accepts", async () => {
    const data = dataFolder();
    const dev = await startCommand(["dev"], data);
    const call = async (...args: string[]) => {
      const { code, stdout, stderr } = await runCommand(["token", ...args], data);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(stdout).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+\n$/);
      const headers = { authorization: `Bearer ${stdout.trim()}` };
      return (await fetch(`${dev.origin}/v3alpha/users/demo-user`, { headers })).status;
    };
    expect(await call("--subject", "s", "--permission", "user.read", "--permission", "otp.challenge")).toBe(
      200,
    );
    expect(await call("--subject", "s", "--org", "demo", "--permission", "user.write", "--ttl", "10m")).toBe(
      200,
    );
    expect(await call("--subject", "s", "--org", "other", "--permission", "user.write")).toBe(404);
    expect(await call("--subject", "demo-user")).toBe(200);
    expect(await call("--subject", "s")).toBe(403);
  });
});

describe("countersign serve", () => {
  it("F35 reports all missing settings at once", async () => {
    const { code, stderr } = await runCommand(["serve"], {
      ...dataFolder(),
      COUNTERSIGN_KEYS: "k1:c2VjcmV0",
    });
    expect(code).toBe(1);
    for (const name of ["PUBLIC_URL", "KEYS", "ISSUERS", "AUDIENCE", "SMTP_URL", "MAIL_FROM"]) {
      expect(stderr).toContain(`COUNTERSIGN_${name} `);
    }
    expect(stderr).not.toContain("c2VjcmV0");
  });

  it("has no development mailbox", async () => {
    const serve = await startCommand(["serve"], serveSettings());
    for (const path of ["/dev/mailbox", "/dev/mailbox/messages"]) {
      expect((await fetch(serve.origin + path)).status).toBe(404);
    }
    expect((await fetch(`${serve.origin}/readyz`)).status).toBe(200);
    expect(serve.stdout()).toBe("");
  });

  it("trusts the local issuer only if it is listed", async () => {
    const settings = { ...serveSettings(), COUNTERSIGN_ISSUERS: "https://id.example.com" };
    const serve = await startCommand(["serve"], settings);
    const { stdout } = await runCommand(["token", "--subject", "s", "--permission", "user.write"], settings);
    const headers = { authorization: `Bearer ${stdout.trim()}` };
    const reply = await fetch(`${serve.origin}/v3alpha/users/u`, { headers });
    expect(reply.status).toBe(401);
  });

  it("refuses a damaged database and leaves it unchanged", async () => {
    const settings = serveSettings();
    expect((await runCommand(["migrate"], settings)).code).toBe(0);
    const path = join(settings.COUNTERSIGN_DATA_DIR, "countersign.db");
    const bytes = readFileSync(path).fill(0xa5, 4096, 8192);
    writeFileSync(path, bytes);
    const { code, stderr } = await runCommand(["serve"], settings);
    expect(code).toBe(65);
    expect(stderr).toMatch(/is damaged/);
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });
});

describe("TLS", () => {
  const fixture = (name: string) => fileURLToPath(new URL(`../support/http/tls/${name}`, import.meta.url));

  it("serves HTTP/2 and HTTP/1.1 on one port, by ALPN", async () => {
    const serve = await startCommand(["serve"], {
      ...serveSettings(),
      COUNTERSIGN_TLS_CERT: fixture("cert.pem"),
      COUNTERSIGN_TLS_KEY_FILE: fixture("key.pem"),
    });
    expect(serve.origin).toMatch(/^https:/);
    const nodeOptions = { ca: readFileSync(fixture("cert.pem")) };
    for (const transport of [
      createGrpcTransport({ baseUrl: serve.origin, nodeOptions }),
      createConnectTransport({ baseUrl: serve.origin, httpVersion: "2", nodeOptions }),
      createConnectTransport({ baseUrl: serve.origin, httpVersion: "1.1", nodeOptions }),
    ]) {
      const call = createClient(UserService, transport).getUserByID({ userId: "u" });
      expect(await outcomeOf(call)).toBe("TOKEN_MISSING");
    }
  });
});

describe("countersign migrate", () => {
  it("prints what it ran, and on the next run that there is nothing to do", async () => {
    const data = dataFolder();
    expect((await runCommand(["migrate"], data)).stdout).toBe(`ran ${Object.keys(migrations).join(", ")}\n`);
    expect((await runCommand(["migrate"], data)).stdout).toBe("the database is up to date\n");
  });
});

describe("countersign doctor limits", () => {
  it("prints how likely one authenticator is to be guessed in a day, and why", async () => {
    const { code, stdout, stderr } = await runCommand(["doctor", "limits"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("Login: 1 in 10,000 (1.0e-4)");
    expect(stdout).toContain("6 digits: 1,000,000 codes; 5 wrong attempts at each");
    expect(stdout).toContain("100 guesses: by the hour 225, in a row 100, by mails 100");
    expect(stdout).toContain("Enrolment: 1 in 10,995,116,277");
    expect(stdout).toContain("Both: 1 in 10,000 (1.0e-4)");
  });

  it("explains limits that dev and serve refuse", async () => {
    const { code, stdout } = await runCommand(["doctor", "limits"], { COUNTERSIGN_MAILS_PER_DAY_MAX: "50" });
    expect(code).toBe(0);
    expect(stdout).toContain("Login: 1 in 4,000");
    const longer = { COUNTERSIGN_MAILS_PER_DAY_MAX: "50", COUNTERSIGN_LOGIN_CODE_LENGTH: "8" };
    expect((await runCommand(["doctor", "limits"], longer)).stdout).toContain("Both: 1 in 400,000");
    const dev = await runCommand(["dev"], { ...dataFolder(), COUNTERSIGN_MAILS_PER_DAY_MAX: "50" });
    expect(dev.code).toBe(1);
    expect(dev.stderr).toMatch(/guessed with a probability above 0.0001 in a day/);
  });
});

describe("F33 SIGTERM", () => {
  it("finishes the request in flight, accepts no new ones, and exits with 0", async () => {
    const serve = await startCommand(["serve"], serveSettings());
    const { port } = new URL(serve.origin);
    const path = "/countersign.user.v3alpha.UserService/GetUserByID";
    const headers = { "content-type": "application/json", "content-length": 14 };
    const slow = httpRequest({ port, host: "127.0.0.1", path, method: "POST", headers });
    const replied = new Promise<number | undefined>((resolve, reject) => {
      slow.on("response", (response) => resolve(response.resume().statusCode));
      slow.on("error", reject);
    });
    slow.write('{"userId"');
    await sleep(200);
    serve.child.kill("SIGTERM");
    await expect
      .poll(() =>
        fetch(`${serve.origin}/readyz`).then(
          () => "open",
          () => "closed",
        ),
      )
      .toBe("closed");
    slow.end(':"u"}');
    expect(await replied).toBe(401);
    expect((await serve.finished()).code).toBe(0);
  });

  it("ends the process at once when it comes twice", async () => {
    const serve = await startCommand(["serve"], serveSettings());
    const { port } = new URL(serve.origin);
    const hanging = httpRequest({ port, host: "127.0.0.1", path: "/v3alpha/users", method: "POST" });
    hanging.on("error", () => {});
    hanging.write("{");
    await sleep(200);
    serve.child.kill("SIGTERM");
    await expect
      .poll(() =>
        fetch(`${serve.origin}/readyz`).then(
          () => "open",
          () => "closed",
        ),
      )
      .toBe("closed");
    serve.child.kill("SIGTERM");
    expect((await serve.finished()).code).toBe(1);
  });
});

describe("two processes on one database", () => {
  async function startTwo() {
    const data = dataFolder();
    const first = await startCommand(["dev"], data);
    const second = await startCommand(["dev"], data);
    const token = (
      await runCommand(["token", "--subject", "admin", "--permission", "user.write"], data)
    ).stdout.trim();
    const clients = [first, second].map(({ origin }) =>
      createClient(
        UserService,
        createGrpcTransport({
          baseUrl: origin,
          interceptors: [
            (next) => (request) => {
              request.header.set("authorization", `Bearer ${token}`);
              return next(request);
            },
          ],
        }),
      ),
    );
    return clients as [(typeof clients)[0], (typeof clients)[0]];
  }

  it("add 10 of 50 authenticators that are requested at once", async () => {
    const [a, b] = await startTwo();
    const outcomes = await Promise.all(
      Array.from({ length: 50 }, (_, i) => {
        const email = {
          address: `mini-${i}@mouse.com`,
          verification: { case: "returnCode", value: {} },
        } as const;
        return outcomeOf((i % 2 ? a : b).addOTPEmail({ userId: "demo-user", email }));
      }),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(10);
    expect(outcomes.filter((o) => o === "OTP_EMAIL_LIMIT_REACHED")).toHaveLength(40);
  });

  it("T25 queue 5 of 100 mails that 50 users request at once to one address", async () => {
    const [a, b] = await startTwo();
    const organization = { org: { case: "orgId", value: "demo" } } as const;
    await Promise.all(Array.from({ length: 50 }, (_, i) => a.createUser({ userId: `u${i}`, organization })));
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, (_, i) => {
        const email = { address: "mini@mouse.com" };
        return outcomeOf((i % 2 ? a : b).addOTPEmail({ userId: `u${i >> 1}`, email }));
      }),
    );
    expect(outcomes.filter((o) => o === "OK")).toHaveLength(5);
    // RESEND_TOO_SOON: the second call of a user who got one of the five.
    const refusals = ["RESEND_TOO_SOON", "SEND_LIMIT_REACHED"];
    expect(outcomes.filter((o) => o !== "OK" && !refusals.includes(o))).toEqual([]);
  });

  it("execute 50 calls with one Idempotency-Key once, and give each the same reply", async () => {
    const [a, b] = await startTwo();
    const request = {
      userId: "demo-user",
      email: { address: "mini@mouse.com", verification: { case: "returnCode", value: {} } },
    } as const;
    const headers = { "idempotency-key": "k" };
    const replies = await Promise.all(
      Array.from({ length: 50 }, (_, i) => (i % 2 ? a : b).addOTPEmail(request, { headers })),
    );
    for (const reply of replies) expect(reply).toEqual(replies[0]);
    expect(replies[0]?.details?.sequence).toBe(2n);
    const reused = b.addOTPEmail({ ...request, email: { address: "b@x.io" } }, { headers });
    expect(await outcomeOf(reused)).toBe("IDEMPOTENCY_KEY_REUSED");
  });

  it("keep the effect and the reply of a call, or neither, when one is killed", {
    timeout: 120_000,
  }, async () => {
    const data = dataFolder();
    const survivor = await startCommand(["dev"], data);
    const args = ["token", "--subject", "admin", "--permission", "user.write"];
    const token = (await runCommand(args, data)).stdout.trim();
    const organization = { orgId: "demo" };
    const create = async (origin: string, key: number) => {
      const reply = await fetch(`${origin}/v3alpha/users`, {
        method: "POST",
        headers: {
          authorization: `Bearer ${token}`,
          "content-type": "application/json",
          "idempotency-key": `k${key}`,
        },
        body: JSON.stringify({ organization, displayName: `user ${key}` }),
      });
      return (await reply.json()) as { userId: string };
    };
    const users = new Set<string>();
    let keys = 0;
    for (let round = 0; round < rounds(2, 20); round++) {
      const victim = await startCommand(["dev"], data);
      const from = keys;
      keys += 40;
      const calls = Array.from({ length: 40 }, (_, i) =>
        create(victim.origin, from + i).catch(() => undefined),
      );
      await sleep(10 + 15 * round);
      victim.child.kill("SIGKILL");
      const replies = await Promise.all(calls);
      for (let i = 0; i < 40; i++) {
        const { userId } = await create(survivor.origin, from + i);
        users.add(userId);
        if (replies[i]) expect(replies[i]?.userId).toBe(userId);
      }
    }
    const list = await fetch(`${survivor.origin}/v3alpha/users/search`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ pageSize: 100 }),
    });
    const { users: listed } = (await list.json()) as { users: { userId: string }[] };
    expect(listed.map((user) => user.userId).sort()).toEqual(["demo-user", ...users].sort().slice(0, 100));
  });

  it("add one authenticator when 40 calls add one address", async () => {
    const [a, b] = await startTwo();
    const email = { address: "mini@mouse.com", verification: { case: "returnCode", value: {} } } as const;
    const add = (client: typeof a) => client.addOTPEmail({ userId: "demo-user", email });
    const replies = await Promise.all(Array.from({ length: 40 }, (_, i) => add(i % 2 ? a : b)));
    expect(new Set(replies.map((r) => `${r.otpEmailId} ${r.verificationCode}`)).size).toBe(1);
    expect(new Set(replies.map((r) => r.details?.sequence)).size).toBe(40);
  });
});

async function welcomeOf(dev: Running): Promise<string> {
  await expect.poll(() => dev.stdout()).toMatch(/^curl .*demo-user$/m);
  return dev.stdout();
}
