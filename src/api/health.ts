import type { ServiceImpl } from "@connectrpc/connect";
import { type Health, HealthCheckResponse_ServingStatus as Status } from "../../gen/health/v1/health_pb.ts";
import { Refusal } from "../lib/refusal.ts";

interface HealthOptions {
  /** The full names of the services. The name "" stands for the whole process. */
  readonly services: readonly string[];
  /** Whether calls can be served. Must resolve soon, and not reject. */
  readonly isReady: () => Promise<boolean>;
  /** The interval of the checks while there are watchers, in milliseconds. 1,000 by default. */
  readonly pollMs?: number;
  /** The maximum number of concurrent watchers. 1,000 by default. */
  readonly watchersMax?: number;
}

interface HealthService {
  readonly implementation: ServiceImpl<typeof Health>;
  /** Sends NOT_SERVING to all watchers and ends their streams. */
  stop(): void;
}

/**
 * grpc.health.v1 (https://github.com/grpc/grpc/blob/master/doc/health-checking.md). All services have the status of the
 * process.
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

  const check = async () => (!isStopped && (await isReady()) ? Status.SERVING : Status.NOT_SERVING);

  function set(status: Status): void {
    // A check that started before `stop` may finish after it.
    if (status === current || (isStopped && status === Status.SERVING)) return;
    current = status;
    for (const wake of [...waiting]) wake();
  }

  /** Runs one timer for all watchers, and only while there are any. */
  async function poll(): Promise<void> {
    set(await check());
    timer = watching > 0 && !isStopped ? setTimeout(poll, pollMs) : undefined;
  }

  /** Resolves when `current` changes or the signal aborts. */
  function changed(signal: AbortSignal): Promise<void> {
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
        return { status: await check() };
      },

      async list() {
        const status = await check();
        return { statuses: Object.fromEntries(names.map((name) => [name, { status }])) };
      },

      async *watch({ service }, { signal }) {
        if (watching >= watchersMax) throw watchersExhausted();
        watching += 1;
        try {
          set(await check());
          timer ??= setTimeout(poll, pollMs);
          let sent: Status | undefined;
          for (;;) {
            signal.throwIfAborted();
            const status = names.includes(service) ? current : Status.SERVICE_UNKNOWN;
            if (status !== sent) {
              yield { status };
              sent = status;
            } else if (isStopped) return;
            else await changed(signal);
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
  return new Refusal(
    "SERVICE_NOT_FOUND",
    "there is no such service: leave the name out for the status of the process",
  );
}

function watchersExhausted(): Refusal {
  return new Refusal("WATCHERS_EXHAUSTED", "too many clients are watching: call Check instead", {
    retryAfterMs: 60_000,
  });
}
