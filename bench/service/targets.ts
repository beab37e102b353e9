import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyDatabase } from "./database.ts";
import { audience, type Issuer } from "./issuer.ts";
import { adderCount, type Operation, operations, verifierCount } from "./operations.ts";
import { builtFile, type Command, sourceFile } from "./server.ts";
import type { SpellingName } from "./spelling.ts";

/** What is measured: a server, asked in one way. */
export interface Target {
  readonly name: string;
  readonly spelling: SpellingName;
  readonly operations: readonly Operation[];
  /** @param folder of its own, where its database is. */
  command(folder: string, parts: Parts): Command;
}

interface Parts {
  /** A database of the service, to be copied. */
  readonly database: string;
  readonly issuer: Issuer;
  /** Where the service hands its mails over. */
  readonly smtpUrl: string;
}

/** What the service is told beside what it needs: the most of each, so that no limit refuses a call. */
export const serviceSettings = {
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "999999999",
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "999999999",
} as const;

function service(spelling: SpellingName): Target {
  return {
    name: `service, ${{ connect: "Connect JSON", grpc: "gRPC", rest: "REST" }[spelling as string]}`,
    spelling,
    operations,
    command: (folder, { database, issuer, smtpUrl }) => {
      copyDatabase(database, join(folder, "countersign.db"));
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      return {
        script: [builtFile("src/main.js"), "serve"],
        environment: {
          COUNTERSIGN_LISTEN: "127.0.0.1:0",
          COUNTERSIGN_DATA_DIR: folder,
          COUNTERSIGN_PUBLIC_URL: "https://bench.example",
          COUNTERSIGN_KEYS: `bench:${randomBytes(32).toString("base64")}`,
          COUNTERSIGN_PROOF_KEYS: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
          COUNTERSIGN_ISSUERS: `${issuer.issuer}|${issuer.jwksUri}`,
          COUNTERSIGN_AUDIENCE: audience,
          COUNTERSIGN_SMTP_URL: smtpUrl,
          COUNTERSIGN_MAIL_FROM: "Bench <bench@bench.example>",
          ...serviceSettings,
        },
        nodeOptions: [],
      };
    },
  };
}

function onDatabase(name: string, script: string): Target {
  return {
    name,
    spelling: "connect",
    operations,
    command(folder, { database, issuer }) {
      const path = join(folder, "bench.db");
      copyDatabase(database, path);
      const args = [path, issuer.issuer, issuer.jwksUri, audience];
      return { script: [script, ...args], environment: {}, nodeOptions: [] };
    },
  };
}

function betterAuth(name: string, mode: "full" | "default"): Target {
  return {
    name,
    spelling: "better-auth",
    operations: ["add, code mailed", "verify"],
    command(folder) {
      const users = String(adderCount + verifierCount);
      const args = [join(folder, "bench.db"), mode, users, "bench.example"];
      return {
        script: [sourceFile("bench/peers/better-auth.js"), ...args],
        environment: {},
        nodeOptions: [],
      };
    },
  };
}

export const names = {
  floor: "floor",
  connect: "service, Connect JSON",
  stock: "connect-node + jose + Kysely",
  fastify: "Fastify",
  betterAuth: "better-auth (FULL)",
} as const;

/** In this order they are measured. */
export const targets: readonly Target[] = [
  onDatabase(names.floor, builtFile("bench/servers/floor.js")),
  service("connect"),
  service("grpc"),
  service("rest"),
  onDatabase(names.fastify, sourceFile("bench/peers/fastify.js")),
  onDatabase(names.stock, builtFile("bench/servers/stock-service.js")),
  betterAuth(names.betterAuth, "full"),
  betterAuth("better-auth (its default)", "default"),
];

/** A folder of its own for a target. */
export function folderOf(parent: string, index: number): string {
  const folder = join(parent, String(index));
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}
