import { type Reply, reply } from "../http/reply.ts";
import type { Clock } from "../lib/clock.ts";
import { type Page, readable } from "./pages.ts";

const readyTimeoutMs = 2_000;

const common = { "cache-control": "no-store", "x-content-type-options": "nosniff" };

const alive: Reply = {
  status: 200,
  headers: { "content-type": "text/plain; charset=utf-8", ...common },
  body: "ok",
};

export interface HealthPagesOptions {
  /** Whether calls can be served: asked for each `/readyz`. To fail, or to take over 2 seconds, means no. */
  readonly ready: () => Promise<boolean>;
  readonly clock: Clock;
}

/** `/healthz`: 200 while the process answers at all. `/readyz`: 200, or 503 while calls can't be served. */
export function healthPages({ ready, clock }: HealthPagesOptions): Page[] {
  return [
    { path: "/healthz", handler: readable((request, response) => reply(request, response, alive)) },
    {
      path: "/readyz",
      handler: readable(async (request, response) =>
        reply(request, response, readiness(await isReady(ready, clock))),
      ),
    },
  ];
}

function readiness(ready: boolean): Reply {
  const headers = { "content-type": "application/json", ...common };
  return { status: ready ? 200 : 503, headers, body: JSON.stringify({ ready }) };
}

/** Asks whether calls can be served. False if that fails or takes over 2 seconds. Never rejects. */
export async function isReady(ready: () => Promise<boolean>, clock: Clock): Promise<boolean> {
  const answered = new AbortController();
  const late = clock.wait(readyTimeoutMs, answered.signal).then(() => false);
  try {
    return await Promise.race([ready(), late]);
  } catch {
    // The cause is logged where it happened.
    return false;
  } finally {
    answered.abort();
  }
}
