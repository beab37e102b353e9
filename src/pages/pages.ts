import { readOnly, refusalReply } from "../http/http-refusal.ts";
import { type NodeHandler, type NodeRequest, type NodeResponse, reply } from "../http/reply.ts";

/** What is served at one path. Each page has a file that makes it; `app/` has the table of all pages. */
export interface Page {
  /** Compared byte for byte with the path of a request: nothing is decoded. */
  readonly path: string;
  readonly handler: NodeHandler;
  /** Whether the allowed origins may read it (CORS). Without it the same origin only. */
  readonly isCrossOrigin?: boolean;
}

export interface PagesOptions {
  /** Of two pages with the same path the later one is served. */
  readonly pages: readonly Page[];
  /** Adds CORS headers. Returns true if it has answered the request: a preflight. */
  readonly cors: (request: NodeRequest, response: NodeResponse) => boolean;
  /** Handles requests for all other paths: calls of the API. */
  readonly next: NodeHandler;
}

/** Serves the pages beside the API. */
export function createPages({ pages, cors, next }: PagesOptions): NodeHandler {
  const pagesByPath = new Map(pages.map((page) => [page.path, page]));
  return (request, response) => {
    const page = pagesByPath.get(pathOf(request));
    if (page && !page.isCrossOrigin) return page.handler(request, response);
    if (cors(request, response)) return;
    return (page?.handler ?? next)(request, response);
  };
}

/** The request target without its query. */
function pathOf({ url = "" }: NodeRequest): string {
  const query = url.indexOf("?");
  return query < 0 ? url : url.slice(0, query);
}

/** Restricts a handler to GET and HEAD; other methods are answered with 405. */
export function readable(handler: NodeHandler): NodeHandler {
  return (request, response) => {
    if (request.method === "GET" || request.method === "HEAD") return handler(request, response);
    const refusal = refusalReply(readOnly);
    reply(request, response, { ...refusal, headers: { ...refusal.headers, allow: "GET, HEAD" } });
  };
}
