import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyDatabase } from "../lib/database.ts";
import { audience } from "../lib/issuer.ts";
import type { SpellingName } from "../lib/load/formats.ts";
import {
  adderCount,
  authenticatorsMax,
  type Operation,
  operations,
  verifierCount,
} from "../lib/operations.ts";
import { repositoryFile } from "../lib/paths.ts";
import type { Command } from "../lib/server.ts";
import type { Surroundings } from "../lib/testbed.ts";

/** What is measured: a server, asked in one way. */
export interface Target {
  readonly name: string;
  readonly spelling: SpellingName;
  readonly operations: readonly Operation[];
  /** @param folder of its own, where its database is. */
  command(folder: string, parts: Parts): Command;
}

type Parts = Pick<Surroundings, "issuer" | "smtpUrl">;

/** Puts a database of the service there. */
type Place = (path: string) => void;

/** What the service is told beside what it needs: the most of each, so that no limit refuses a call. */
export const serviceSettings = {
  COUNTERSIGN_OTP_EMAILS_MAX: String(authenticatorsMax),
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "999999999",
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "999999999",
} as const;

export function service(name: string, spelling: SpellingName, place: Place): Target {
  return {
    name,
    spelling,
    operations,
    command: (folder, parts) => {
      place(join(folder, "countersign.db"));
      const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
      const secrets = {
        COUNTERSIGN_KEYS: `bench:${randomBytes(32).toString("base64")}`,
        COUNTERSIGN_PROOF_KEYS: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
      };
      return serve(parts, { COUNTERSIGN_DATA_DIR: folder, ...secrets });
    },
  };
}

/** The service as it is built and installed, and settings beside those that every bench has. */
export function serve({ issuer, smtpUrl }: Parts, settings: Readonly<Record<string, string>>): Command {
  return {
    script: [repositoryFile("dist/src/main.js"), "serve"],
    environment: {
      COUNTERSIGN_LISTEN: "127.0.0.1:0",
      COUNTERSIGN_PUBLIC_URL: "https://bench.example",
      COUNTERSIGN_ISSUERS: `${issuer.issuer}|${issuer.jwksUri}`,
      COUNTERSIGN_AUDIENCE: audience,
      COUNTERSIGN_SMTP_URL: smtpUrl,
      COUNTERSIGN_MAIL_FROM: "Bench <bench@bench.example>",
      ...serviceSettings,
      ...settings,
    },
    nodeOptions: [],
  };
}

function onDatabase(name: string, script: string, place: Place): Target {
  return {
    name,
    spelling: "connect",
    operations,
    command(folder, { issuer }) {
      const path = join(folder, "bench.db");
      place(path);
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
        script: [repositoryFile("bench/peers/better-auth.js"), ...args],
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

/**
 * All of them, in the order in which they are measured.
 *
 * @param database of the service, with its users, of which each gets a copy.
 */
export function targetsOn(database: string): readonly Target[] {
  const place: Place = (path) => copyDatabase(database, path);
  return [
    onDatabase(names.floor, repositoryFile("bench/dist/bench/service/servers/floor.js"), place),
    service(names.connect, "connect", place),
    service("service, gRPC", "grpc", place),
    service("service, REST", "rest", place),
    onDatabase(names.fastify, repositoryFile("bench/peers/fastify.js"), place),
    onDatabase(names.stock, repositoryFile("bench/dist/bench/service/servers/connect-node.js"), place),
    betterAuth(names.betterAuth, "full"),
    betterAuth("better-auth (its default)", "default"),
  ];
}

/** A folder of its own for a target. */
export function folderOf(parent: string, index: number): string {
  const folder = join(parent, String(index));
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}
