import { type ChildProcess, execFile, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { readConfig } from "../src/config/config.ts";
import { readSendersFile } from "../src/config/senders-file.ts";
import type { Mail } from "./support/app.ts";
import { temporaryFolder } from "./support/folder.ts";
import { proofKey } from "./support/proof-key.ts";

// Runs every command and every sample of README and docs, in the order of each page, against one development server.

const root = fileURLToPath(new URL("..", import.meta.url));
const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...readdirSync(join(root, "docs"))
    .filter((name) => name.endsWith(".md"))
    .map((name) => `docs/${name}`),
];

interface Block {
  readonly language: string;
  readonly text: string;
  /** Whether only blank lines are between this block and the one before. */
  readonly follows: boolean;
}

function blocksOf(page: string): Block[] {
  const text = readFileSync(join(root, page), "utf8");
  let end = 0;
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(
    ({ 0: block, 1: language = "", 2: code = "", index }) => {
      const follows = text.slice(end, index).trim() === "";
      end = index + block.length;
      return { language, text: code, follows };
    },
  );
}

/** A clone of this checkout, with the packages that `npm ci` installed here. */
function clone(): string {
  const folder = temporaryFolder(afterAll);
  for (const name of readdirSync(root)) {
    if (["node_modules", "dist", "data", ".git"].includes(name)) continue;
    cpSync(join(root, name), join(folder, name), { recursive: true });
  }
  mkdirSync(join(folder, "node_modules"));
  for (const name of readdirSync(join(root, "node_modules"))) {
    // buf reads the protos of this package, and follows no links out of the folder.
    if (name === "google-proto-files") {
      for (const part of ["api", "longrunning", "rpc", "type"]) {
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

/** A reply without what differs each time: times, ids, codes, proofs, and how many events there were by then. */
function shapeOf(value: unknown, key = ""): unknown {
  if (/(?:Time|changeDate|sequence|otpEmailId|verificationCode|proof)$/.test(key)) return `a ${typeof value}`;
  if (Array.isArray(value)) return value.map((item) => shapeOf(item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, shapeOf(item, name)]));
}

/** The JSON documents in a text, which follow each other. */
function documentsIn(text: string): unknown[] {
  const lines = text.split("\n");
  const documents: unknown[] = [];
  for (let from = 0, to = 1; to <= lines.length; to++) {
    const part = lines.slice(from, to).join("\n").trim();
    if (part === "") from = to;
    else if (isJson(part)) {
      documents.push(JSON.parse(part));
      from = to;
    }
  }
  return documents;
}

function isJson(text: string): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

/** A shell that keeps its variables and functions from one block to the next. */
class Shell {
  readonly #child: ChildProcess;
  #output = "";

  constructor(folder: string) {
    this.#child = spawn("bash", { cwd: folder, env: { PATH: process.env.PATH, HOME: process.env.HOME } });
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on("data", (chunk: Buffer) => {
        this.#output += chunk;
      });
  }

  async run(script: string): Promise<{ output: string; exitCode: number }> {
    this.#output = "";
    this.#child.stdin?.write(`${script}\necho "__END $?"\n`);
    await expect.poll(() => this.#output, { timeout: 60_000 }).toMatch(/__END \d+\n$/);
    const [, output = "", exitCode] = /^(.*)__END (\d+)\n$/s.exec(this.#output) ?? [];
    return { output, exitCode: Number(exitCode) };
  }

  end(): void {
    this.#child.kill();
  }
}

/** Commands that can't run as they are, or that fail here on purpose. */
const special: readonly [RegExp, { readonly as?: (text: string) => string; readonly prints: RegExp }][] = [
  [
    /^npx countersign serve$/m,
    { prints: /COUNTERSIGN_PUBLIC_URL is missing[\s\S]*COUNTERSIGN_MAIL_FROM is missing/ },
  ],
  // The service is running here, and its database is where the copy would go.
  [/^npx countersign restore /m, { prints: /move it away first/ }],
  // There is no PostgreSQL here: another file does as well.
  [
    /^npx countersign copy /m,
    {
      as: (text) => text.replace(/postgres:\S+/, "sqlite:data/copy.db"),
      prints: /both databases are the same/,
    },
  ],
];

describe("the documentation", () => {
  let folder: string;
  let origin: string;
  let server: ChildProcess | undefined;
  const here = (text: string) => text.replaceAll("http://127.0.0.1:8080", origin);

  beforeAll(async () => {
    folder = clone();
    const port = await freePort();
    origin = `http://127.0.0.1:${port}`;
    // The README's first command, after `npm ci`.
    server = spawn("npm", ["start"], {
      cwd: folder,
      env: { ...process.env, COUNTERSIGN_LISTEN: `127.0.0.1:${port}` },
      detached: true,
    });
    let output = "";
    server.stdout?.on("data", (chunk: Buffer) => {
      output += chunk;
    });
    await vi.waitUntil(() => output.includes(`Countersign listens at ${origin}`), { timeout: 120_000 });
  }, 120_000);

  afterAll(() => {
    if (server?.exitCode === null) process.kill(-(server.pid ?? 0), "SIGTERM");
  });

  it.each(pages)("%s shows commands that run and replies that come", { timeout: 240_000 }, async (page) => {
    const shell = new Shell(folder);
    const blocks = blocksOf(page);
    for (const [index, { language, text }] of blocks.entries()) {
      // `npm start` runs already, and `npm test` runs this.
      if (language !== "sh" || /^npm ci/m.test(text)) continue;
      const [, rule] = special.find(([pattern]) => pattern.test(text)) ?? [];
      const { output, exitCode } = await shell.run(here(rule?.as?.(text) ?? text));
      if (rule) {
        expect(output, text).toMatch(rule.prints);
        continue;
      }
      expect(exitCode, `${text}\n${output}`).toBe(0);
      const next = blocks[index + 1];
      if (next?.language !== "json" || !next.follows) continue;
      expect(
        documentsIn(output).map((reply) => shapeOf(reply)),
        text,
      ).toEqual(documentsIn(next.text).map((reply) => shapeOf(reply)));
    }
    shell.end();
  });

  it("has samples in TypeScript that compile and run", { timeout: 120_000 }, async () => {
    const samples = ["README.md", "docs/api.md"].flatMap((page) =>
      blocksOf(page).filter(({ language }) => language === "ts"),
    );
    expect(samples).toHaveLength(3);
    const token = await sh(
      "npx countersign token --subject app --permission user.write --permission otp.challenge",
    );
    for (const [index, { text }] of samples.entries()) {
      writeFileSync(join(folder, `sample-${index}.ts`), here(text));
    }
    const options = { noEmit: false, rootDir: ".", outDir: "samples", lib: ["es2023", "dom"] };
    writeFileSync(
      join(folder, "tsconfig.samples.json"),
      JSON.stringify({
        extends: "./tsconfig.json",
        compilerOptions: options,
        include: ["sample-*.ts", "gen"],
      }),
    );
    await sh("npx tsc -p tsconfig.samples.json");
    process.env.TOKEN = token.trim();
    const [signUp, ...clients] = await Promise.all(
      samples.map((_, index) => import(join(folder, `samples/sample-${index}.js`))),
    );
    const address = "sample@mouse.com";
    let read = 0;
    const ask = async () => {
      const mails = async () =>
        (await (await fetch(`${origin}/dev/mailbox/messages?to=${address}`)).json()) as Mail[];
      await expect.poll(async () => (await mails()).length, { timeout: 10_000 }).toBe(++read);
      return /^[0-9A-Z]{6,8}$/m.exec((await mails())[0]!.text)![0];
    };
    const proof = await signUp.signUpAndLogIn("sample", address, ask);
    for (const [index, client] of clients.entries()) {
      expect(await client.addOTPEmail(token.trim(), "sample", `${index}@mouse.com`)).toMatch(/^\d{18,19}$/);
    }
    await verifySample(proof);
  });

  /** The relying party's sample, with the proof of the other one. */
  async function verifySample(proof: string): Promise<void> {
    const [sample] = blocksOf("docs/api.md").filter(({ language }) => language === "js");
    const file = join(folder, "verify-proof.mjs");
    writeFileSync(file, sample!.text.replaceAll("https://otp.example.com", origin));
    const { verifyProof } = await import(file);
    expect(await verifyProof(proof)).toMatchObject({ sub: "sample", amr: ["otp"] });
    await expect(verifyProof(`${proof}x`)).rejects.toThrow();
  }

  it("has settings that are accepted", () => {
    const samples = pages.flatMap((page) => blocksOf(page).filter(({ language }) => language === "env"));
    expect(samples.length).toBeGreaterThan(0);
    for (const { text } of samples) {
      const settings = Object.fromEntries(
        text
          .trim()
          .split("\n")
          .map((line) => line.split(/=(.*)/s)),
      );
      expect(() => readConfig("serve", { ...complete(), ...settings }), text).not.toThrow();
    }
  });

  it("has a senders file that is accepted", () => {
    const file = join(temporaryFolder(), "senders.json");
    const samples = blocksOf("docs/mail.md").filter(({ text }) => text.includes('"smtpUrl"'));
    expect(samples).toHaveLength(1);
    const key = join(root, "test/support/mail/tls/relay.key.pem");
    writeFileSync(file, samples[0]!.text.replace("/run/secrets/acme-dkim.pem", key));
    const { senders, problems } = readSendersFile(file);
    // The key of the tests is no RSA key: nothing else may be wrong.
    expect(problems.filter((problem) => !problem.includes("RSA"))).toEqual([]);
    expect(problems.length > 0 || Object.keys(senders).length > 0).toBe(true);
  });

  it.each(["README.md", "SECURITY.md", "proto/countersign/user/v3alpha/user_service.proto"])(
    "R0.1 R0.2 says in %s that email is no out-of-band authenticator",
    (file) => {
      const text = readFileSync(join(root, file), "utf8").replace(/\s+(\/\/ )?/g, " ");
      expect(text).toMatch(/OWASP ASVS 5\.0 \(6\.3\.6, V6\.6\)/);
      expect(text).toMatch(/NIST SP 800-63B-4/);
      expect(text).toMatch(/never (reports .*as )?AAL2 or (as )?"mfa" by itself/);
    },
  );

  it("keeps the README below 200 lines, and its TypeScript below 21", () => {
    expect(readFileSync(join(root, "README.md"), "utf8").split("\n").length).toBeLessThanOrEqual(201);
    const [sample] = blocksOf("README.md").filter(({ language }) => language === "ts");
    expect(sample!.text.trim().split("\n").length).toBeLessThanOrEqual(20);
  });

  it("links to pages and headings that are there", () => {
    const anchors = (file: string) =>
      [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
        heading
          .toLowerCase()
          .replace(/[^\w\- ]/g, "")
          .replaceAll(" ", "-"),
      );
    for (const page of pages) {
      const text = readFileSync(join(root, page), "utf8").replace(/^```.*?^```$/gms, "");
      for (const [, target = ""] of text.matchAll(/(?:\]\(|src=")(?!https?:)([^)"\s]+)[)"]/g)) {
        const [path = "", anchor] = target.split("#");
        const file = path === "" ? join(root, page) : join(root, page, "..", path);
        expect(existsSync(file), `${page}: ${target}`).toBe(true);
        if (anchor) expect(anchors(file), `${page}: ${target}`).toContain(anchor);
      }
    }
  });

  async function sh(command: string): Promise<string> {
    return (await promisify(execFile)("bash", ["-c", command], { cwd: folder })).stdout;
  }
});

/** Settings that `serve` needs. */
function complete(): Record<string, string> {
  return {
    COUNTERSIGN_PUBLIC_URL: "https://otp.example.com",
    COUNTERSIGN_KEYS: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
    COUNTERSIGN_PROOF_KEYS: proofKey(),
    COUNTERSIGN_ISSUERS: "https://login.example.com",
    COUNTERSIGN_AUDIENCE: "countersign",
    COUNTERSIGN_SMTP_URL: "smtp://127.0.0.1:1025",
    COUNTERSIGN_MAIL_FROM: "codes@example.com",
  };
}
