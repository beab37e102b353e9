import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { onTestFinished } from "vitest";
import { ChallengeService } from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { UserService } from "../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { transport, withToken } from "./app.ts";
import { databaseUrlOf } from "./db/database.ts";
import { type OnEnd, temporaryFolder } from "./folder.ts";
import { startRelay, type TestRelay } from "./mail/relay.ts";
import type { Caller } from "./otp/purposes.ts";
import { type Running, runCommand, startCommand } from "./process/process.ts";
import { proofKey } from "./proof-key.ts";

/** A database and a relay for any number of `serve` processes. */
export interface Servers {
  readonly settings: Record<string, string>;
  readonly databaseUrl: string;
  readonly relay: TestRelay;
  /** A token with all permissions. */
  readonly token: string;
  start(environment?: Record<string, string>): Promise<Running>;
  callerOf(server: Running): Caller;
}

/** @param options more settings, and where to register the cleanup. */
export async function openServers(
  options: { environment?: Record<string, string>; databaseUrl?: string; onEnd?: OnEnd } = {},
): Promise<Servers> {
  const { environment = {}, onEnd = onTestFinished } = options;
  const dataDir = join(temporaryFolder(onEnd), "data");
  const relay = await startRelay({}, onEnd);
  const databaseUrl = options.databaseUrl ?? (await databaseUrlOf(dataDir, onEnd));
  const settings = {
    COUNTERSIGN_DATA_DIR: dataDir,
    COUNTERSIGN_DATABASE_URL: databaseUrl,
    COUNTERSIGN_PUBLIC_URL: "https://otp.example.com",
    COUNTERSIGN_KEYS: `k1:${Buffer.alloc(32, 7).toString("base64")}`,
    COUNTERSIGN_PROOF_KEYS: proofKey(),
    COUNTERSIGN_PROOF_AUDIENCES: "*",
    COUNTERSIGN_ISSUERS: "local",
    COUNTERSIGN_AUDIENCE: "countersign",
    COUNTERSIGN_SMTP_URL: `smtp://127.0.0.1:${relay.port}`,
    COUNTERSIGN_MAIL_FROM: "codes@example.com",
    ...environment,
  };
  const permissions = ["--permission", "user.write", "--permission", "otp.challenge"];
  const { stdout } = await runCommand(["token", "--subject", "admin", ...permissions], settings, onEnd);
  const token = stdout.trim();
  return {
    settings,
    databaseUrl,
    relay,
    token,
    start: (more = {}) => startCommand(["serve"], { ...settings, ...more }, onEnd),
    callerOf({ origin }) {
      const signed = withToken(transport(origin, "gRPC"), token);
      return { users: createClient(UserService, signed), challenges: createClient(ChallengeService, signed) };
    },
  };
}
