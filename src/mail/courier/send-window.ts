/** Limits how many mails are sent to a relay concurrently. */
export interface SendWindow {
  /** Current maximum. */
  readonly size: number;
  /** Starts a mail. Call the returned function once with its outcome. */
  begin(): (outcome: "taken" | "overloaded") => void;
}

/** Initial and smallest size. With two, a mail that gets stuck doesn't hold up the others. */
const sizeMin = 2;

/**
 * Grows while the relay accepts mails and backs off when it is overloaded, like TCP congestion control (RFC 5681): by one per
 * accepted mail until the first overload, then by one per round of mails. An overload halves the window.
 *
 * Mails that were under way at a back-off don't cause another: of those that fail together, only the first counts.
 */
export function createSendWindow(sizeMax: number): SendWindow {
  const least = Math.min(sizeMin, sizeMax);
  let size = least;
  let hasBackedOff = false;
  let epoch = 0;
  return {
    get size() {
      return Math.floor(size);
    },
    begin() {
      const begun = epoch;
      return (outcome) => {
        if (outcome === "taken") size = Math.min(sizeMax, size + (hasBackedOff ? 1 / size : 1));
        else if (begun === epoch) {
          size = Math.max(least, size / 2);
          hasBackedOff = true;
          epoch++;
        }
      };
    },
  };
}

/**
 * Reports whether an attempt failed because the relay is overloaded or unreachable: 421 (RFC 5321 §4.2.2), a policy such as a
 * rate limit (X.7.x, RFC 3463 §3.8), 429 or 503 of an HTTP provider, or no connection.
 *
 * @param reason as in `SendResult`.
 */
export function isOverload(reason: string): boolean {
  return /^421\b|^4\d\d 4\.7\.\d|^(connection|timeout|dns|tls)$|^(webhook|ses) (429|503|connection)$/.test(
    reason,
  );
}

/**
 * Reports whether a healthy relay throttled the attempt, so that mails sent right after it would fail as well.
 *
 * @param reason as in `SendResult`.
 */
export function isThrottled(reason: string): boolean {
  return /^421\b|^(webhook|ses) (429|503)$/.test(reason);
}

/**
 * Reports whether an attempt failed because there was no relay, or no secure connection to it.
 *
 * @param reason as in `SendResult`.
 */
export function isUnreached(reason: string): boolean {
  return /^((webhook|ses) )?(connection|timeout|dns|tls)$/.test(reason);
}
