import { Refusal } from "../lib/refusal.ts";

/** @param why completes "the access token is refused: …". Must not quote the token. */
export function tokenInvalid(why: string, cause?: unknown): Refusal {
  return new Refusal("TOKEN_INVALID", `the access token is refused: ${why}`, { cause });
}

export function claimMissing(name: string): Refusal {
  return tokenInvalid(`its "${name}" claim is missing (RFC 9068 §2.2)`);
}

export function claimWrong(name: string): Refusal {
  return tokenInvalid(`its "${name}" claim is wrong`);
}
