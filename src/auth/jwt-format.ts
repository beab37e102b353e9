import { decodeJwt, decodeProtectedHeader } from "jose";
import { claimMissing, claimWrong, tokenInvalid } from "./token-refusals.ts";

/** The signature algorithms that are accepted. */
export const algorithms = ["ES256", "RS256", "PS256", "EdDSA"];

/**
 * Checks everything about a token that needs no key, and returns its `iss` claim, which is not verified yet.
 *
 * @throws Refusal TOKEN_INVALID
 */
export function unverifiedIssuer(token: string): string {
  const parts = token.split(".");
  if (parts.length === 5) throw tokenInvalid("encrypted tokens (JWE) are not accepted");
  // Lenient decoders ignore padding, spaces and unused bits, so one JWT would have many spellings (RFC 7515 §2).
  if (parts.length !== 3 || !parts.every(isBase64url)) throw tokenInvalid("it is not a JWT in compact form");
  const { header, payload } = decode(token);
  // Member names must be unique (RFC 7515 §4, RFC 7519 §4). JSON.parse takes the last one, other parsers the first.
  if (parts.slice(0, 2).some((part) => hasDuplicateName(Buffer.from(part, "base64url").toString()))) {
    throw tokenInvalid("a name occurs twice in its header or its claims");
  }
  if (typeof header.alg !== "string" || !algorithms.includes(header.alg)) {
    throw tokenInvalid(`its "alg" header is not one of ${algorithms.join(", ")}`);
  }
  if (header.crit !== undefined)
    throw tokenInvalid('its "crit" header asks for extensions that are not supported');
  if (header.kid !== undefined && typeof header.kid !== "string")
    throw tokenInvalid('its "kid" header is not a string');
  if (payload.iss === undefined) throw claimMissing("iss");
  if (typeof payload.iss !== "string") throw claimWrong("iss");
  return payload.iss;
}

function decode(token: string) {
  try {
    return { header: decodeProtectedHeader(token), payload: decodeJwt(token) };
  } catch {
    // Without the cause, which quotes the token.
    throw tokenInvalid("its header or its claims are not a JSON object");
  }
}

function isBase64url(text: string): boolean {
  return text !== "" && Buffer.from(text, "base64url").toString("base64url") === text;
}

/** @param json valid JSON. Objects are checked at any depth. */
function hasDuplicateName(json: string): boolean {
  const open: Set<string>[] = [];
  // In valid JSON, a string before a colon is a member name of the innermost open object.
  for (const [match, name] of json.matchAll(
    /("[^"\\]*(?:\\.[^"\\]*)*")\s*:|"[^"\\]*(?:\\.[^"\\]*)*"|[{}]/g,
  )) {
    if (match === "{") open.push(new Set());
    else if (match === "}") open.pop();
    else if (name !== undefined) {
      const names = open.at(-1);
      const text: string = JSON.parse(name);
      if (names?.has(text)) return true;
      names?.add(text);
    }
  }
  return false;
}
