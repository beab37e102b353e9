/** A day of mails at a relay with a limited rate. */
export interface RelayDay {
  readonly queued: number;
  readonly sent: number;
  /** Mails whose codes expired in the queue. */
  readonly expired: number;
  readonly waitP50S: number;
  readonly waitP99S: number;
  /** Longest queue. */
  readonly longest: number;
}

const daySeconds = 86_400;

/** Mails that arrive in a second of the day: a sine with its peak at noon, and with the given mean over the day. */
export function rateAt(second: number, peak: number, meanToPeak: number): number {
  const mean = peak * meanToPeak;
  return mean - (peak - mean) * Math.cos((2 * Math.PI * second) / daySeconds);
}

/**
 * Simulates the outbox for a day, second by second. Mails leave in the order of arrival, and expired ones are dropped. Arrivals in
 * a second are random with the variance of a Poisson distribution.
 *
 * @param acceptedPerSecond mails a second that the relay accepts.
 * @param lifeS lifetime of a code in seconds.
 */
export function simulateRelay(
  peakPerSecond: number,
  meanToPeak: number,
  acceptedPerSecond: number,
  lifeS: number,
  random: () => number,
): RelayDay {
  /** Waiting mails by the second of their arrival. The oldest are at `head`. */
  const waiting: { second: number; count: number }[] = [];
  const waits = new Float64Array(lifeS + 1);
  let head = 0;
  let size = 0;
  const day = { queued: 0, sent: 0, expired: 0, longest: 0 };
  for (let second = 0; second < daySeconds || size > 0; second++) {
    const rate = second < daySeconds ? rateAt(second, peakPerSecond, meanToPeak) : 0;
    const count = Math.max(0, Math.round(rate + Math.sqrt(rate) * standardNormal(random)));
    waiting.push({ second, count });
    day.queued += count;
    size += count;
    for (let room = acceptedPerSecond; head < waiting.length; head++) {
      const oldest = waiting[head]!;
      const waited = second - oldest.second;
      const taken = waited > lifeS ? 0 : Math.min(room, oldest.count);
      if (waited > lifeS) {
        day.expired += oldest.count;
        size -= oldest.count;
        continue;
      }
      waits[waited]! += taken;
      day.sent += taken;
      size -= taken;
      room -= taken;
      oldest.count -= taken;
      if (oldest.count > 0) break;
    }
    day.longest = Math.max(day.longest, size);
  }
  return { ...day, waitP50S: quantile(waits, day.sent, 0.5), waitP99S: quantile(waits, day.sent, 0.99) };
}

function quantile(counts: Float64Array, total: number, share: number): number {
  let seen = 0;
  return counts.findIndex((count) => {
    seen += count;
    return seen >= total * share;
  });
}

/** A normally distributed number, with the Box-Muller transform. */
function standardNormal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
