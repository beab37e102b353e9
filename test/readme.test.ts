import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { codeIn, type Mail } from "./support/app.ts";
import { temporaryFolder } from "./support/folder.ts";
import { settingNames } from "./support/setting-names.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const readme = readFileSync(join(root, "README.md"), "utf8");

interface Block {
  readonly language: string;
  readonly text: string;
}

const blocks: Block[] = [...readme.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(([, language, text]) => ({
  language: language ?? "",
  text: text ?? "",
}));

/** A clone of this checkout, with the packages that `npm ci` put here. */
function clone(): string {
  const folder = temporaryFolder();
  for (const name of readdirSync(root)) {
    if (["node_modules", "dist", "data", ".git"].includes(name)) continue;
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  mkdirSync(join(folder, "node_modules"));
  for (const name of readdirSync(join(root, "node_modules"))) {
    // buf reads the protos of this package and follows no links out of the folder.
    if (name === "google-proto-files") {
      for (const part of ["api", "rpc"]) {
        const from = join(root, "node_modules", name, "google", part);
        cpSync(from, join(folder, "node_modules", name, "google", part), { recursive: true });
      }
    } else symlinkSync(join(root, "node_modules", name), join(folder, "node_modules", name));
  }
  return folder;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function untilListening(child: ChildProcess): Promise<void> {
  let output = "";
  await new Promise<void>((resolve, reject) => {
    const look = (chunk: Buffer) => {
      output += chunk;
      if (output.includes("Paste this")) resolve();
    };
    child.stdout?.on("data", look);
    child.stderr?.on("data", look);
    child.once("exit", () => reject(new Error(`npm start ended:\n${output}`)));
  });
}

/** A reply without what is another each time: times, ids, codes, and how many mails were sent by then. */
function shapeOf(value: unknown, key = ""): unknown {
  if (/(?:Time|changeDate|sequence|otpEmailId|verificationCode)$/.test(key)) return `a ${typeof value}`;
  if (Array.isArray(value)) return value.map((item) => shapeOf(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shapeOf(item, name)]));
}

describe("the README", () => {
  let folder: string;
  let port: number;
  beforeAll(() => {
    expect(blocks.filter((b) => b.language === "sh").length).toBeGreaterThan(10);
  });

  it("can be followed from a clone to a verified authenticator, and shows the replies that come", {
    timeout: 240_000,
  }, async () => {
    folder = clone();
    port = await freePort();
    const here = (text: string) => text.replaceAll("127.0.0.1:8080", `127.0.0.1:${port}`);
    const variables = { TOKEN: "", ID: "", CODE: "" };
    const shell = async (script: string) => {
      const { stdout } = await promisify(execFile)("bash", ["-c", `set -e\n${script}`], {
        cwd: folder,
        env: { PATH: process.env.PATH, HOME: process.env.HOME, ...variables },
      });
      return stdout;
    };

    for (const [index, { language, text }] of blocks.entries()) {
      if (language !== "sh") continue;
      const command = here(text);
      const reply = blocks[index + 1]?.language === "json" ? JSON.parse(blocks[index + 1]!.text) : undefined;
      if (command.includes("npm ci")) {
        // `npm ci` and `npm test` are what runs this test.
        if (!command.includes("npm start")) continue;
        const child = spawn("npm", ["start"], {
          cwd: folder,
          env: { PATH: process.env.PATH, HOME: process.env.HOME, COUNTERSIGN_LISTEN: `127.0.0.1:${port}` },
          detached: true,
        });
        onTestFinished(() => {
          if (child.exitCode === null) process.kill(-(child.pid ?? 0), "SIGTERM");
        });
        await untilListening(child);
      } else if (command.startsWith("TOKEN=")) {
        variables.TOKEN = (await shell(`${command}\necho $TOKEN`)).trim();
        expect(variables.TOKEN).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
      } else if (command.includes("/dev/mailbox/messages")) {
        const read = async () => JSON.parse(await shell(command)) as Mail[];
        await expect.poll(read, { timeout: 10_000 }).toHaveLength(1);
        variables.CODE = codeIn((await read())[0]!);
      } else if (command.endsWith("main.js serve\n")) {
        await expect(shell(command)).rejects.toThrow(
          /COUNTERSIGN_PUBLIC_URL is missing[\s\S]*COUNTERSIGN_MAIL_FROM is missing/,
        );
      } else if (command.includes("main.js backup ")) {
        expect(await shell(command)).toMatch(/holds the database/);
      } else if (command.includes("main.js copy ")) {
        // There is no PostgreSQL here: another file does as well.
        const said = await shell(command.replace(/postgres:\S+/, "sqlite:data/copy.db"));
        expect(said).toMatch(/both databases are the same/);
      } else if (command.includes("main.js restore ")) {
        // The service runs here, and its database is there.
        await expect(shell(command)).rejects.toThrow(/move it away first/);
      } else {
        expect(reply, `the reply to ${command}`).toBeDefined();
        const said = JSON.parse(await shell(command.replace(/^(ID|CODE)=.*$/gm, "")));
        expect(shapeOf(said), command).toEqual(shapeOf(reply));
        if (variables.ID === "" && said.otpEmailId) variables.ID = said.otpEmailId;
      }
    }

    const clients = blocks.filter((b) => b.language === "ts");
    expect(clients).toHaveLength(2);
    for (const [index, { text }] of clients.entries()) {
      writeFileSync(join(folder, `client-${index}.ts`), here(text));
      writeFileSync(
        join(folder, "tsconfig.client.json"),
        JSON.stringify({
          extends: "./tsconfig.json",
          compilerOptions: { noEmit: false, rootDir: ".", outDir: "client", lib: ["es2023", "dom"] },
          include: ["client-*.ts", "gen"],
        }),
      );
      await shell("npx tsc -p tsconfig.client.json");
      const call = `addOTPEmail(process.env.TOKEN, "mini", "client-${index}@mouse.com")`;
      const script = `import { addOTPEmail } from "./client/client-${index}.js"; console.log(await ${call}); process.exit()`;
      expect(await shell(`node --input-type=module -e '${script}'`)).toMatch(/^[0-9]{18,19}\n$/);
    }
  });

  it("lists every setting, and none that is not there", () => {
    const inTable = new Set(readme.match(/(?<=`)COUNTERSIGN_[A-Z]+(?:_[A-Z]+)*(?=`)/g));
    expect([...inTable].sort()).toEqual([...settingNames()].sort());
  });

  it.each(["README.md", "SECURITY.md", "proto/countersign/user/v3alpha/user_service.proto"])(
    "R0.1 R0.2 %s says that email is no out-of-band authenticator",
    (file) => {
      const text = readFileSync(join(root, file), "utf8").replace(/\s+(\/\/ )?/g, " ");
      expect(text).toMatch(/OWASP ASVS 5\.0 \(6\.3\.6, V6\.6\)/);
      expect(text).toMatch(/NIST SP 800-63B-4/);
      expect(text).toMatch(/never (reports .*as )?AAL2 or (as )?"mfa" by itself/);
    },
  );
});
