import { Refusal } from "../lib/refusal.ts";

/** The longest token accepted, in characters. Node's default header limit is the same. */
export const tokenCharsMax = 16 * 1024;

// RFC 6750 §2.1: credentials = "Bearer" 1*SP b64token. The scheme is case-insensitive (RFC 9110 §11.1).
const credentials = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * Reads the access token from the Authorization header. Query and form parameters are ignored: they end up in logs
 * (RFC 6750 §2.3, §5.3).
 *
 * @throws Refusal TOKEN_MISSING without bearer credentials, TOKEN_INVALID if they are malformed.
 */
export function bearerToken(headers: Headers): string {
  const value = headers.get("authorization") ?? "";
  // Another scheme counts as no credentials: the challenge must not name an error then (RFC 6750 §3.1).
  if (!/^bearer(?:[\s,]|$)/i.test(value)) {
    throw new Refusal("TOKEN_MISSING", "send an access token: Authorization: Bearer <token>");
  }
  // Repeated Authorization headers arrive joined by ", ", which no token contains.
  const token = credentials.exec(value)?.[1];
  if (token === undefined) {
    throw new Refusal(
      "TOKEN_INVALID",
      "send exactly one Authorization header: Bearer <token> (RFC 6750 §2.1)",
    );
  }
  if (token.length > tokenCharsMax) {
    throw new Refusal("TOKEN_INVALID", `the access token is longer than ${tokenCharsMax} characters`);
  }
  return token;
}

/**
 * The WWW-Authenticate header of a 401 (RFC 6750 §3).
 *
 * @param realm printable ASCII.
 * @param error omitted if the request had no credentials (RFC 6750 §3.1).
 */
export function bearerChallenge(realm: string, error?: "invalid_token"): string {
  const quoted = `"${realm.replaceAll(/["\\]/g, "\\$&")}"`;
  return error === undefined ? `Bearer realm=${quoted}` : `Bearer realm=${quoted}, error="${error}"`;
}
