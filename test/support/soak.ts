/** Whether this is `npm run soak`, which may take long. */
export const isSoak = Boolean(process.env.COUNTERSIGN_SOAK);

/** How often to repeat what fails only now and then: `short` in `npm test`, `full` in `npm run soak`. */
export function rounds(short: number, full: number): number {
  return isSoak ? full : short;
}
