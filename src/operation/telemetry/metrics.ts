import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { type NodeHandler, type Reply, reply } from "../../http/reply.ts";
import { readable } from "../../pages/pages.ts";

export interface MetricsOptions {
  /** How many mails wait, and for how long the oldest does, in milliseconds. Asked once a second at most. */
  readonly backlog: () => Promise<{ readonly mails: number; readonly oldestMs: number }>;
  /** Whether one of the mail providers is not passed over as failing. */
  readonly canMail: () => boolean;
  readonly onError: (error: unknown) => void;
}

/** What is measured, for Prometheus. No label has anything that comes from outside, or an id. */
export interface Metrics {
  readonly page: NodeHandler;
  /** Counts a call that has ended. `method` undefined: there was none. `code` by its name. */
  observeCall(call: { method: string | undefined; protocol: string; code: string; durationMs: number }): void;
  /** Counts what came of an attempt to hand a mail over. */
  countMail(mail: { purpose: string; state: string }): void;
}

/** In seconds. Most calls take a millisecond. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** The page is made anew this often, however often it is asked for. */
const freshMs = 1_000;

/**
 * Measures calls and mails, and what Node measures of itself: lag of the event loop, memory, garbage collection.
 *
 * A call is counted by method, protocol and code, and its time by method and protocol, so that there is no series of every
 * bucket for every code: 0.7 us a call, of which the histogram is 0.4.
 */
export function createMetrics({ backlog, canMail, onError }: MetricsOptions): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const calls = new Counter({
    name: "countersign_calls_total",
    help: "Calls that have ended, by their gRPC code.",
    labelNames: ["method", "protocol", "code"],
    registers,
  });
  const durations = new Histogram({
    name: "countersign_call_duration_seconds",
    help: "How long calls took.",
    labelNames: ["method", "protocol"],
    buckets,
    registers,
  });
  const mails = new Counter({
    name: "countersign_mails_total",
    help: "What came of attempts to hand a mail over; queued: it is tried again.",
    labelNames: ["purpose", "state"],
    registers,
  });
  const waiting = new Gauge({
    name: "countersign_outbox_mails",
    help: "Mails that wait to be handed over, counted up to 10000.",
    registers,
  });
  const oldest = new Gauge({
    name: "countersign_outbox_oldest_seconds",
    help: "For how long the oldest of them waits; 0 if none does.",
    registers,
  });

  const mailUp = new Gauge({
    name: "countersign_mail_up",
    help: "1 if a mail provider is not passed over as failing, 0 if all are.",
    registers,
  });

  async function render(): Promise<Reply> {
    try {
      const { mails, oldestMs } = await backlog();
      waiting.set(mails);
      oldest.set(oldestMs / 1_000);
    } catch (error) {
      // The rest is worth having, above all now.
      onError(error);
      waiting.set(Number.NaN);
      oldest.set(Number.NaN);
    }
    mailUp.set(canMail() ? 1 : 0);
    const headers = { "content-type": register.contentType, "cache-control": "no-store" };
    return { status: 200, headers, body: await register.metrics() };
  }

  let rendered: Promise<Reply> | undefined;
  let renderedAt = 0;
  return {
    page: readable((request, response) => {
      const now = performance.now();
      if (!rendered || now - renderedAt >= freshMs) {
        rendered = render();
        renderedAt = now;
      }
      return rendered.then((page) => reply(request, response, page));
    }),
    observeCall({ method = "unknown", protocol, code, durationMs }) {
      calls.inc({ method, protocol, code });
      durations.observe({ method, protocol }, durationMs / 1_000);
    },
    countMail: ({ purpose, state }) => mails.inc({ purpose, state }),
  };
}
