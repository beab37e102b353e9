/** Whether the run is a soak, which has time for tests of many seconds. */
export const isSoak = Boolean(process.env.COUNTERSIGN_SOAK);

/**
 * How often a test repeats what may go wrong only now and then: a few times in `npm test`, in full in `npm run soak`.
 */
export function rounds(short: number, full: number): number {
  return isSoak ? full : short;
}
