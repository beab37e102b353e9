import { Refusal } from "../lib/refusal.ts";

/** The longest token that is looked at, in characters. Node takes no larger header either. */
export const tokenCharsMax = 16 * 1024;

// RFC 6750 §2.1: credentials = "Bearer" 1*SP b64token. The scheme is case-insensitive (RFC 9110 §11.1).
const credentials = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i;

/**
 * Takes the access token out of the Authorization header, and out of nothing else: a token in a query or a form
 * ends up in logs (RFC 6750 §2.3, §5.3).
 *
 * @throws UNAUTHENTICATED TOKEN_MISSING without bearer credentials, TOKEN_INVALID where they are malformed.
 */
export function bearerToken(headers: Headers): string {
  const value = headers.get("authorization") ?? "";
  // Another scheme counts as no credentials, since the challenge must not name an error then (RFC 6750 §3.1).
  if (!/^bearer(?:[\s,]|$)/i.test(value)) {
    throw new Refusal("TOKEN_MISSING", "send an access token: Authorization: Bearer <token>");
  }
  // Several Authorization values arrive joined by ", ", which no token contains.
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
 * The WWW-Authenticate value of a 401 (RFC 6750 §3).
 *
 * @param realm what is protected, printable ASCII
 * @param error left out when no credentials were sent (RFC 6750 §3.1)
 */
export function bearerChallenge(realm: string, error?: "invalid_token"): string {
  const quoted = `"${realm.replaceAll(/["\\]/g, "\\$&")}"`;
  return error === undefined ? `Bearer realm=${quoted}` : `Bearer realm=${quoted}, error="${error}"`;
}
