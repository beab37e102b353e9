import Negotiator from "negotiator";
import { type RestRoute, replyType } from "./rest.ts";

/**
 * Whether an Accept header (RFC 9110 §12.5.1) admits the reply of a route. Checked before the method runs, so that a call
 * that took effect is never answered with 406. Errors are always JSON.
 *
 * Any Accept header admits a google.api.HttpBody, because its type is known only once the method has run.
 */
export function admitsReply(accept: string | undefined, route: RestRoute): boolean {
  // Nearly all clients send one of these. Parsing is slow (docs/performance.md).
  if (accept === undefined || accept === "*/*" || accept === json) return true;
  // An empty list admits everything.
  if (route.isRawReply || /^[ \t,]*$/.test(accept)) return true;
  // RFC 8259 §11: JSON has no charset parameter, but some clients ask for UTF-8.
  const types = [replyType(route), json, `${json};charset=utf-8`];
  return new Negotiator({ headers: { accept } }).mediaType(types) !== undefined;
}

const json = "application/json";
