import { reply } from "../http/reply.ts";
import { type Page, readable } from "./pages.ts";

export interface MetricsPageOptions {
  readonly contentType: string;
  /** The metrics as Prometheus scrapes them. */
  readonly text: () => Promise<string>;
}

/** `/metrics` for Prometheus. */
export function metricsPage({ contentType, text }: MetricsPageOptions): Page {
  const headers = { "content-type": contentType, "cache-control": "no-store" };
  return {
    path: "/metrics",
    handler: readable(async (request, response) =>
      reply(request, response, { status: 200, headers, body: await text() }),
    ),
  };
}
