import { cors } from "@connectrpc/connect";
import { canReply, type NodeRequest, type NodeResponse, reply } from "./reply.ts";

export interface CorsOptions {
  /** Exact origins such as `https://app.example.com`, or `"*"` alone for any. None: browsers keep scripts out. */
  readonly allowedOrigins: readonly string[];
}

const allowedMethods = ["GET", "POST", "DELETE", "PATCH", "PUT"].join(", ");

const allowedHeaders = [...cors.allowedHeaders, "authorization", "idempotency-key", "accept-language"].join(
  ", ",
);

// Replies are never credentialed (there are no cookies), so that "*" stands for every header: with it scripts see
// the metadata and `trailer-` headers of Connect, whatever their names. The names are for browsers that do not know "*".
const exposedHeaders = [
  ...cors.exposedHeaders,
  ...cors.exposedHeaders.map((name) => `trailer-${name}`),
  "retry-after",
  "www-authenticate",
  "*",
].join(", ");

/** Two hours, the most that browsers keep a preflight. */
const maxAgeSeconds = "7200";

/**
 * Lets scripts of other origins call the service (Fetch Standard, CORS protocol). The function that is returned adds the
 * headers to a response; it answers preflights itself and returns true for them.
 *
 * @throws if `"*"` is not alone.
 */
export function createCors({
  allowedOrigins,
}: CorsOptions): (request: NodeRequest, response: NodeResponse) => boolean {
  const any = allowedOrigins.includes("*");
  if (any && allowedOrigins.length > 1) throw new Error('allowed origins: "*" must be alone');
  const origins = new Set(allowedOrigins);

  return (request, response) => {
    if (!canReply(response)) return false;
    const { origin } = request.headers;
    // On every response, or a cache would give one origin what was meant for another.
    if (!any && origins.size > 0) response.setHeader("vary", "Origin");
    const isAllowed = origin !== undefined && (any || origins.has(origin));
    if (isAllowed) response.setHeader("access-control-allow-origin", any ? "*" : origin);

    const isPreflight =
      request.method === "OPTIONS" &&
      origin !== undefined &&
      request.headers["access-control-request-method"] !== undefined;
    if (!isPreflight) {
      if (isAllowed) response.setHeader("access-control-expose-headers", exposedHeaders);
      return false;
    }
    const headers = {
      "access-control-allow-methods": allowedMethods,
      "access-control-allow-headers": allowedHeaders,
      "access-control-max-age": maxAgeSeconds,
    };
    reply(request, response, { status: 204, headers: isAllowed ? headers : {} });
    return true;
  };
}
