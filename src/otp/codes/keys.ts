import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { readOrMakePrivateFile } from "../../lib/private-file.ts";

/** The keys that codes are derived from. The first derives, all verify. */
export interface KeyRing {
  readonly current: CodeKey;
  /** The current key first. */
  readonly all: readonly [CodeKey, ...CodeKey[]];
  /** Returns undefined for a retired key: its codes can't be verified any more. */
  get(keyId: string): CodeKey | undefined;
}

export interface CodeKey {
  readonly id: string;
  /** At least 32 bytes (RFC 2104 §3). */
  readonly secret: Uint8Array;
}

export function createKeyRing(keys: readonly [CodeKey, ...CodeKey[]]): KeyRing {
  const byId = new Map(keys.map((key) => [key.id, key]));
  return { current: keys[0], all: keys, get: (keyId) => byId.get(keyId) };
}

/** Whether a development server has been started in this folder. */
export function hasDevelopmentKey(dataDir: string): boolean {
  return existsSync(developmentKeyPath(dataDir));
}

/** Returns the key of a development server, made on its first start. */
export function openDevelopmentKey(dataDir: string): CodeKey {
  const path = developmentKeyPath(dataDir);
  const secret = readOrMakePrivateFile(path, () => `${randomBytes(32).toString("base64")}\n`);
  return { id: "dev", secret: Buffer.from(secret, "base64") };
}

function developmentKeyPath(dataDir: string): string {
  return join(dataDir, "code-key");
}
