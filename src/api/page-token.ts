import { timingSafeEqual } from "node:crypto";
import { Refusal } from "../lib/refusal.ts";
import type { CodeKey, KeyRing } from "../otp/codes/keys.ts";
import { macOf } from "../otp/codes/mac.ts";

/** Makes and reads the page tokens of lists (AIP-158). */
export interface PageTokens {
  /** @param cursor where the page ended: ids that the caller has seen. */
  make(list: List, cursor: readonly string[]): string;
  /**
   * The cursor of a token, or undefined for "": the first page.
   *
   * @throws INVALID_ARGUMENT if the token was made for another list, or not by this service.
   */
  read(list: List, token: string): readonly string[] | undefined;
}

/** What makes a list: its method, its filter, and what the caller may see of it. A token is worth nothing for another. */
export type List = readonly unknown[];

/**
 * Splits what was found, one item more than the page has room for, where there is one.
 *
 * @returns the page, and its last item if another page follows.
 */
export function pageOf<T>(found: readonly T[], size: number): { page: readonly T[]; last: T | undefined } {
  const page = found.slice(0, size);
  return { page, last: found.length > size ? page.at(-1) : undefined };
}

/** Longer than any that is made: a cursor has at most two ids of 200 characters. */
const lengthMax = 4_096;

const macBytes = 16;

/** Page tokens that are signed by the keys of the codes, so that all processes read each other's. */
export function createPageTokens(keys: KeyRing): PageTokens {
  return {
    make(list, cursor) {
      const key = keys.current;
      const mac = pageMac(key, list, cursor);
      return Buffer.concat([mac, Buffer.from(JSON.stringify([key.id, ...cursor]))]).toString("base64url");
    },
    read(list, token) {
      if (token === "") return undefined;
      const { mac, keyId, cursor } = parse(token) ?? {};
      const key = keyId === undefined ? undefined : keys.get(keyId);
      if (!mac || !key || !cursor || !timingSafeEqual(mac, pageMac(key, list, cursor)))
        throw pageTokenInvalid();
      return cursor;
    },
  };
}

function parse(token: string) {
  if (token.length > lengthMax) return undefined;
  const bytes = Buffer.from(token, "base64url");
  // Other characters are skipped by Buffer.from, and another text must not be the same token.
  if (bytes.length <= macBytes || bytes.toString("base64url") !== token) return undefined;
  const parts = parseStrings(bytes.toString("utf8", macBytes));
  if (!parts) return undefined;
  const [keyId, ...cursor] = parts;
  return { mac: bytes.subarray(0, macBytes), keyId, cursor };
}

function parseStrings(text: string): string[] | undefined {
  try {
    const parts: unknown = JSON.parse(text);
    return Array.isArray(parts) && parts.every((part) => typeof part === "string") ? parts : undefined;
  } catch {
    return undefined;
  }
}

function pageMac(key: CodeKey, list: List, cursor: readonly string[]): Buffer {
  return macOf(key, "countersign/page/v1", [JSON.stringify([list, cursor])], macBytes);
}

function pageTokenInvalid() {
  return new Refusal(
    "PAGE_TOKEN_INVALID",
    "page_token must be the next_page_token of a reply to the same request: leave it out to begin again",
    { field: "page_token" },
  );
}
