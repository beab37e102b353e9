import { readOnly, refusalReply } from "../http/refusal.ts";
import { type NodeHandler, type NodeRequest, type NodeResponse, type Reply, reply } from "../http/reply.ts";

export interface PagesOptions {
  /** Whether calls can be served: asked for each `/readyz`. To fail, or to take over 2 seconds, means no. */
  readonly ready: () => Promise<boolean>;
  /** Further pages by their path. They come first. */
  readonly extra?: ReadonlyMap<string, NodeHandler>;
}

const readyTimeoutMs = 2_000;

const common = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

const healthy: Reply = {
  status: 200,
  headers: { "content-type": "text/plain; charset=utf-8", ...common },
  body: "ok",
};

/** The pages beside the API. The function that is returned is true if there is one at the path of the request. */
export function createPages({
  ready,
  extra,
}: PagesOptions): (request: NodeRequest, response: NodeResponse) => boolean {
  const pages = new Map<string, NodeHandler>([
    ["/healthz", readable((request, response) => reply(request, response, healthy))],
    [
      "/readyz",
      readable((request, response) => {
        isReady(ready).then((isReady) => reply(request, response, readiness(isReady)));
      }),
    ],
  ]);

  return (request, response) => {
    const handler = (extra && pageAt(extra, request)) ?? pageAt(pages, request);
    handler?.(request, response);
    return handler !== undefined;
  };
}

/** Finds a page by the path of a request, whatever its query. */
export function pageAt(
  pages: ReadonlyMap<string, NodeHandler>,
  { url = "" }: NodeRequest,
): NodeHandler | undefined {
  const query = url.indexOf("?");
  return pages.get(query < 0 ? url : url.slice(0, query));
}

/** Lets a handler answer GET and HEAD; all else is 405. */
export function readable(handler: NodeHandler): NodeHandler {
  return (request, response) => {
    if (request.method === "GET" || request.method === "HEAD") return handler(request, response);
    const refusal = refusalReply(readOnly);
    reply(request, response, { ...refusal, headers: { ...refusal.headers, allow: "GET, HEAD" } });
  };
}

function readiness(ready: boolean): Reply {
  const headers = { "content-type": "application/json", ...common };
  return { status: ready ? 200 : 503, headers, body: JSON.stringify({ ready }) };
}

/** Asks whether calls can be served, for 2 seconds at most. It never rejects. */
export async function isReady(ready: () => Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(resolve, readyTimeoutMs, false);
  });
  try {
    return await Promise.race([ready(), late]);
  } catch {
    // Whoever was asked has logged why; who asks here learns only that it is so.
    return false;
  } finally {
    clearTimeout(timer);
  }
}
