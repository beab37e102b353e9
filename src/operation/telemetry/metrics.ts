import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

export interface MetricsOptions {
  /** The number of queued mails, and the age of the oldest in milliseconds. Called at most once a second. */
  readonly backlog: () => Promise<{ readonly mails: number; readonly oldestMs: number }>;
  /** Whether at least one mail provider is in use: not skipped for its failures. */
  readonly canMail: () => boolean;
  readonly onError: (error: unknown) => void;
}

/** Metrics for Prometheus. Labels never hold ids or text from clients: each value would be a series of its own. */
export interface Metrics {
  readonly contentType: string;
  /** The metrics in the text exposition format. At most a second old. */
  text(): Promise<string>;
  /** Counts a finished call. `method`: undefined if the path has none. `code`: the name of the gRPC code. */
  observeCall(call: { method: string | undefined; protocol: string; code: string; durationMs: number }): void;
  /** Counts the result of an attempt to hand over a mail. */
  countMail(mail: { purpose: string; state: string }): void;
}

/** In seconds. Most calls take about a millisecond. */
const buckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

/** Frequent scrapes share one text: each one counts the rows of the outbox. */
const maxAgeMs = 1_000;

/**
 * Measures calls and mails, and Node itself: event loop lag, memory, garbage collection.
 *
 * Durations have no label for the code: every bucket would become one series per code.
 */
export function createMetrics({ backlog, canMail, onError }: MetricsOptions): Metrics {
  const register = new Registry();
  const registers = [register];
  collectDefaultMetrics({ register });
  const calls = new Counter({
    name: "countersign_calls_total",
    help: "Finished calls, by their gRPC code.",
    labelNames: ["method", "protocol", "code"],
    registers,
  });
  const durations = new Histogram({
    name: "countersign_call_duration_seconds",
    help: "Duration of calls.",
    labelNames: ["method", "protocol"],
    buckets,
    registers,
  });
  const mails = new Counter({
    name: "countersign_mails_total",
    help: "Attempts to hand over a mail, by their result; queued: it will be retried.",
    labelNames: ["purpose", "state"],
    registers,
  });
  const waiting = new Gauge({
    name: "countersign_outbox_mails",
    help: "Mails waiting to be handed over, counted up to 10000.",
    registers,
  });
  const oldest = new Gauge({
    name: "countersign_outbox_oldest_seconds",
    help: "Age of the oldest waiting mail; 0 if none is waiting.",
    registers,
  });
  const mailUp = new Gauge({
    name: "countersign_mail_up",
    help: "1 if at least one mail provider is in use, 0 if all are skipped as failing.",
    registers,
  });

  async function render(): Promise<string> {
    try {
      const { mails, oldestMs } = await backlog();
      waiting.set(mails);
      oldest.set(oldestMs / 1_000);
    } catch (error) {
      // The other metrics matter most while the database fails.
      onError(error);
      waiting.set(Number.NaN);
      oldest.set(Number.NaN);
    }
    mailUp.set(canMail() ? 1 : 0);
    return register.metrics();
  }

  let rendered: Promise<string> | undefined;
  let renderedAt = 0;
  return {
    contentType: register.contentType,
    text() {
      const now = performance.now();
      if (!rendered || now - renderedAt >= maxAgeMs) {
        rendered = render();
        renderedAt = now;
      }
      return rendered;
    },
    observeCall({ method = "unknown", protocol, code, durationMs }) {
      calls.inc({ method, protocol, code });
      durations.observe({ method, protocol }, durationMs / 1_000);
    },
    countMail: ({ purpose, state }) => mails.inc({ purpose, state }),
  };
}
