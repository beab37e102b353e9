/**
 * How often a test repeats what may go wrong only now and then: a few times in `npm test`, in full in `npm run soak`.
 */
export function rounds(short: number, full: number): number {
  return process.env.COUNTERSIGN_SOAK ? full : short;
}
