import Negotiator from "negotiator";
import { type RestRoute, replyType } from "./rest.ts";

/**
 * Whether an Accept header (RFC 9110 §12.5.1) admits the reply of a route, decided before its method runs: a call that
 * had its effects must not look refused. Errors are JSON whatever it says.
 *
 * A reply of google.api.HttpBody is never refused, as its type is known only when the method has run.
 */
export function admitsReply(accept: string | undefined, route: RestRoute): boolean {
  // What nearly all clients send: to parse one costs 2 to 6 us.
  if (accept === undefined || accept === "*/*" || accept === json) return true;
  // An empty list of types asks for nothing.
  if (route.isRawReply || /^[ \t,]*$/.test(accept)) return true;
  // RFC 8259 §11: JSON has no charset. Clients that ask for one mean JSON in UTF-8.
  const types = [replyType(route), json, `${json};charset=utf-8`];
  return new Negotiator({ headers: { accept } }).mediaType(types) !== undefined;
}

const json = "application/json";
