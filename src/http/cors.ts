import { cors } from "@connectrpc/connect";
import { canReply, type NodeRequest, type NodeResponse, reply } from "./reply.ts";

export interface CorsOptions {
  /** Exact origins such as `https://app.example.com`, or only `"*"` for any origin. If empty, browsers block all scripts. */
  readonly allowedOrigins: readonly string[];
}

const allowedMethods = ["GET", "POST", "DELETE", "PATCH", "PUT"].join(", ");

const allowedHeaders = [...cors.allowedHeaders, "authorization", "idempotency-key", "accept-language"].join(
  ", ",
);

// Requests carry no credentials (there are no cookies), so "*" exposes all headers, including any metadata and `trailer-`
// headers of Connect. The names are for browsers that don't support "*".
const exposedHeaders = [
  ...cors.exposedHeaders,
  ...cors.exposedHeaders.map((name) => `trailer-${name}`),
  "retry-after",
  "www-authenticate",
  "*",
].join(", ");

/** Two hours, the maximum in Chrome. */
const maxAgeSeconds = "7200";

/**
 * Lets scripts from other origins call the service (Fetch Standard, CORS protocol). The returned function adds headers to
 * a response. It answers preflight requests itself, and then returns true.
 *
 * @throws Error if `"*"` is combined with other origins.
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
    // On every response, so that caches don't serve one origin the reply to another.
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
