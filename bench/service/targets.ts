import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { copyDatabase } from "../lib/database.ts";
import { audience } from "../lib/issuer.ts";
import type { CallFormatName } from "../lib/load/formats.ts";
import { repositoryFile } from "../lib/paths.ts";
import type { Command } from "../lib/server.ts";
import type { Testbed } from "../lib/testbed.ts";
import { adderCount, authenticatorsMax, type Operation, operations, verifierCount } from "../lib/workload.ts";

/** A server to measure, and the format of the calls to it. */
export interface Target {
  readonly name: string;
  readonly format: CallFormatName;
  readonly operations: readonly Operation[];
  /** @param folder for its database. */
  command(folder: string, testbed: ServerParts): Command;
}

type ServerParts = Pick<Testbed, "issuer" | "smtpUrl">;

/** Creates a database of the service with its users at a path. */
type CreateDatabase = (path: string) => void;

/** Settings of the service that differ from the defaults: the highest limits, so that no call is refused. */
export const serviceSettings = {
  COUNTERSIGN_OTP_EMAILS_MAX: String(authenticatorsMax),
  COUNTERSIGN_CLIENT_MAILS_PER_HOUR_MAX: "999999999",
  COUNTERSIGN_ALL_MAILS_PER_HOUR_MAX: "999999999",
} as const;

/** Fresh secrets of the service. */
export function makeSecrets(): Readonly<Record<string, string>> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    COUNTERSIGN_KEYS: `bench:${randomBytes(32).toString("base64")}`,
    COUNTERSIGN_PROOF_KEYS: privateKey.export({ type: "pkcs8", format: "pem" }).toString(),
  };
}

/** The built service on SQLite. */
export function service(name: string, format: CallFormatName, createDatabase: CreateDatabase): Target {
  return {
    name,
    format,
    operations,
    command: (folder, parts) => {
      createDatabase(join(folder, "countersign.db"));
      return serve(parts, { COUNTERSIGN_DATA_DIR: folder, ...makeSecrets() });
    },
  };
}

/** The command that starts the built service, with settings beyond those that every bench needs. */
export function serve({ issuer, smtpUrl }: ServerParts, settings: Readonly<Record<string, string>>): Command {
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

/** Another server with the API and the database of the service. */
function peer(name: string, path: string, createDatabase: CreateDatabase): Target {
  return {
    name,
    format: "connect",
    operations,
    command(folder, { issuer }) {
      const database = join(folder, "bench.db");
      createDatabase(database);
      const args = [database, issuer.issuer, issuer.jwksUri, audience];
      return { script: [repositoryFile(path), ...args], environment: {}, nodeOptions: [] };
    },
  };
}

function betterAuth(name: string, mode: "full" | "default"): Target {
  return {
    name,
    format: "better-auth",
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
  connectNode: "connect-node + jose + Kysely",
  fastify: "Fastify",
  betterAuth: "better-auth (FULL)",
} as const;

/**
 * All targets in the order of measurement.
 *
 * @param database of the service with its users. Each target gets a copy.
 */
export function targetsOn(database: string): readonly Target[] {
  const copy: CreateDatabase = (path) => copyDatabase(database, path);
  return [
    peer(names.floor, "bench/dist/bench/service/servers/floor.js", copy),
    service(names.connect, "connect", copy),
    service("service, gRPC", "grpc", copy),
    service("service, REST", "rest", copy),
    peer(names.fastify, "bench/peers/fastify.js", copy),
    peer(names.connectNode, "bench/dist/bench/service/servers/connect-node.js", copy),
    betterAuth(names.betterAuth, "full"),
    betterAuth("better-auth (its default)", "default"),
  ];
}

export function makeTargetFolder(parent: string, index: number): string {
  const folder = join(parent, String(index));
  mkdirSync(folder, { mode: 0o700 });
  return folder;
}
