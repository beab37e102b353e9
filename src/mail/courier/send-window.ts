/** How many mails a relay is given at a time. */
export interface SendWindow {
  /** The most that may be under way now. */
  readonly size: number;
  /** To be called when a mail is begun. What is returned says what came of it: once. */
  begin(): (outcome: "taken" | "overloaded") => void;
}

/** It begins with these, and they are always left: one mail that gets stuck does not hold up the others. */
const sizeMin = 2;

/**
 * Grows while the relay takes mails, and backs off when it is overloaded, as TCP does (RFC 5681): by one with each mail
 * that is taken until the first time, then by one with each round of mails; and by half at each time.
 *
 * Mails that were under way when it backed off say nothing new: of all that fail at once the first alone counts.
 *
 * @param sizeMax never more than this.
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
 * Whether an attempt failed because the relay cannot take as much, or cannot be reached: 421 (RFC 5321 §4.2.2), a policy
 * such as a rate (X.7.x, RFC 3463 §3.8), 429 or 503 of a provider over HTTP, or no connection.
 *
 * @param reason as `SendResult` has it.
 */
export function isOverload(reason: string): boolean {
  return /^421\b|^4\d\d 4\.7\.\d|^(connection|timeout|dns|tls)$|^(webhook|ses) (429|503|connection)$/.test(
    reason,
  );
}

/**
 * Whether a relay that is well has said that this is too much for now: whatever is tried next meets the same.
 *
 * @param reason as `SendResult` has it.
 */
export function isThrottled(reason: string): boolean {
  return /^421\b|^(webhook|ses) (429|503)$/.test(reason);
}

/**
 * Whether an attempt failed because there was no relay to talk to, or no safe way to it.
 *
 * @param reason as `SendResult` has it.
 */
export function isUnreached(reason: string): boolean {
  return /^((webhook|ses) )?(connection|timeout|dns|tls)$/.test(reason);
}
