import type { ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/health/v1/health_pb.ts";
import { Refusal } from "../lib/refusal.ts";

export interface HealthOptions {
  /** The full names of the services that can be asked for. "" is the process as a whole. */
  readonly services: readonly string[];
  /** Whether calls can be served. It must not reject, nor wait for long. */
  readonly isReady: () => Promise<boolean>;
  /** How often that is asked for those who watch. A second unless given. */
  readonly pollMs?: number;
  /** How many may watch at the same time. 1,000 unless given. */
  readonly watchersMax?: number;
}

export interface HealthService {
  readonly implementation: ServiceImpl<typeof Health>;
  /** Tells all who watch that nothing is served any more, and ends their streams. */
  stop(): void;
}

/**
 * grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). Every service is served as long as
 * the process can serve calls at all.
 */
export function createHealth({
  services,
  isReady,
  pollMs = 1_000,
  watchersMax = 1_000,
}: HealthOptions): HealthService {
  const names = ["", ...services];
  const waiting = new Set<() => void>();
  let watching = 0;
  let timer: NodeJS.Timeout | undefined;
  let current: Status = Status.NOT_SERVING;
  let isStopped = false;

  const ask = async () => (!isStopped && (await isReady()) ? Status.SERVING : Status.NOT_SERVING);

  function set(status: Status): void {
    // What was asked for before the end may be answered after it.
    if (status === current || (isStopped && status === Status.SERVING)) return;
    current = status;
    for (const wake of [...waiting]) wake();
  }

  /** One timer for all who watch, and only while somebody does. */
  async function poll(): Promise<void> {
    set(await ask());
    timer = watching > 0 && !isStopped ? setTimeout(poll, pollMs) : undefined;
  }

  /** Resolves when `current` has changed, or the signal aborts. */
  function change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener("abort", wake);
      if (signal.aborted) wake();
    });
  }

  return {
    implementation: {
      async check({ service }) {
        if (!names.includes(service)) throw unknownService();
        return { status: await ask() };
      },

      async list() {
        const status = await ask();
        return { statuses: Object.fromEntries(names.map((name) => [name, { status }])) };
      },

      async *watch({ service }, { signal }) {
        if (watching >= watchersMax) throw tooMany();
        watching += 1;
        try {
          set(await ask());
          timer ??= setTimeout(poll, pollMs);
          let told: Status | undefined;
          for (;;) {
            signal.throwIfAborted();
            const status = names.includes(service) ? current : Status.SERVICE_UNKNOWN;
            if (status !== told) {
              yield { status };
              told = status;
            } else if (isStopped) return;
            else await change(signal);
          }
        } finally {
          watching -= 1;
        }
      },
    },

    stop() {
      isStopped = true;
      clearTimeout(timer);
      set(Status.NOT_SERVING);
      for (const wake of [...waiting]) wake();
    },
  };
}

function unknownService(): Refusal {
  return new Refusal("SERVICE_NOT_FOUND", "there is no such service here: leave the name out for the whole");
}

function tooMany(): Refusal {
  return new Refusal("WATCHERS_EXHAUSTED", "too many clients watch already: call Check instead", {
    retryAfterMs: 60_000,
  });
}
