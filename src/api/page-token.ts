import { timingSafeEqual } from "node:crypto";
import { Refusal } from "../lib/refusal.ts";
import type { CodeKey, KeyRing } from "../otp/codes/keys.ts";
import { macOf } from "../otp/codes/mac.ts";

/** Creates and verifies the page tokens of lists (AIP-158). */
export interface PageTokens {
  /** @param cursor the position after the page: ids that the page has shown to the caller. */
  make(scope: ListScope, cursor: readonly string[]): string;
  /**
   * Returns the cursor of a token, or undefined for "", the first page.
   *
   * @throws Refusal PAGE_TOKEN_INVALID if the token has another scope, or was not created by this service.
   */
  read(scope: ListScope, token: string): readonly string[] | undefined;
}

/** Identifies a list: its method, its filter, and the organizations that it covers. */
type ListScope = readonly unknown[];

/**
 * Splits the result of a query with limit `size + 1`.
 *
 * @returns the page, and its last item if there are more pages.
 */
export function pageOf<T>(found: readonly T[], size: number): { page: readonly T[]; last: T | undefined } {
  const page = found.slice(0, size);
  return { page, last: found.length > size ? page.at(-1) : undefined };
}

/** More than a cursor of two ids of 200 characters needs. */
const lengthMax = 4_096;

const macBytes = 16;

/** Page tokens are authenticated with the keys of the codes, so that all processes accept them. */
export function createPageTokens(keys: KeyRing): PageTokens {
  return {
    make(scope, cursor) {
      const key = keys.current;
      const mac = pageMac(key, scope, cursor);
      return Buffer.concat([mac, Buffer.from(JSON.stringify([key.id, ...cursor]))]).toString("base64url");
    },
    read(scope, token) {
      if (token === "") return undefined;
      const { mac, keyId, cursor } = parse(token) ?? {};
      const key = keyId === undefined ? undefined : keys.get(keyId);
      if (!mac || !key || !cursor || !timingSafeEqual(mac, pageMac(key, scope, cursor)))
        throw pageTokenInvalid();
      return cursor;
    },
  };
}

function parse(token: string) {
  if (token.length > lengthMax) return undefined;
  const bytes = Buffer.from(token, "base64url");
  // Buffer.from skips invalid characters, but a token must have one spelling only.
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

function pageMac(key: CodeKey, scope: ListScope, cursor: readonly string[]): Buffer {
  return macOf(key, "countersign/page/v1", [JSON.stringify([scope, cursor])], macBytes);
}

function pageTokenInvalid() {
  return new Refusal(
    "PAGE_TOKEN_INVALID",
    "page_token must be the next_page_token of a reply to the same request: leave it out for the first page",
    { field: "page_token" },
  );
}
