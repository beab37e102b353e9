import { reply } from "../http/reply.ts";
import { type Page, readable } from "./pages.ts";

/** The public keys that verify proofs (JWK Set, RFC 7517 §5). Relying services may cache them for five minutes. */
export function jwksPage(jwks: object): Page {
  const headers = {
    "content-type": "application/json",
    "cache-control": "public, max-age=300",
    "x-content-type-options": "nosniff",
  };
  const body = JSON.stringify(jwks);
  return {
    path: "/.well-known/jwks.json",
    handler: readable((request, response) => reply(request, response, { status: 200, headers, body })),
    isCrossOrigin: true,
  };
}
