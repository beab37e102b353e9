import { type NodeHandler, reply } from "../http/reply.ts";
import { readable } from "./pages.ts";

/** The public keys with which relying services check proofs. They may keep them for five minutes. */
export function jwksPage(jwks: object): NodeHandler {
  const headers = {
    "content-type": "application/json",
    "cache-control": "public, max-age=300",
    "x-content-type-options": "nosniff",
  };
  const body = JSON.stringify(jwks);
  return readable((request, response) => reply(request, response, { status: 200, headers, body }));
}
