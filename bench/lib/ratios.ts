import { table } from "./table.ts";

/** A number of one row divided by that of another. */
export interface Ratio {
  readonly name: string;
  /** Ratio of the medians. */
  readonly value: number;
  /** Median of the ratios within each round: steadier on a machine that runs other programs too. */
  readonly byRound: number;
  /** Undefined for ratios that are only informative. */
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
}

/** Medians of some numbers, and the samples they come from, one a round. */
type Measured<Name extends string> = Readonly<Record<Name, number>> & {
  readonly samples: readonly Readonly<Record<Name, number>>[];
};

/** Compares two rows by one of their numbers. Both have the same number of rounds. */
export function compare<Name extends string>(
  one: Measured<Name>,
  other: Measured<Name>,
  by: Name,
): Pick<Ratio, "value" | "byRound"> {
  const byRound = one.samples.map((sample, round) => sample[by] / other.samples[round]![by]);
  return { value: one[by] / other[by], byRound: median(byRound) };
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The median of each number of the samples. */
export function medians<Sample extends object>(samples: readonly Sample[]): Sample {
  const names = Object.keys(samples[0]!) as (keyof Sample)[];
  const entries = names.map((name) => [name, median(samples.map((sample) => Number(sample[name])))]);
  return Object.fromEntries(entries) as Sample;
}

/** Whether the target is reached. Undefined without a target. */
export function isReached({ value, target }: Ratio): boolean | undefined {
  if (target === undefined) return undefined;
  return "atLeast" in target ? value >= target.atLeast : value <= target.atMost;
}

export function ratiosTable(ratios: readonly Ratio[]): string {
  return table([
    ["ratio", "medians", "by round", "target", ""],
    ...ratios.map((ratio) => [
      ratio.name,
      ratio.value.toFixed(2),
      ratio.byRound.toFixed(2),
      targetText(ratio),
      verdict(ratio),
    ]),
  ]);
}

function targetText({ target }: Ratio): string {
  if (target === undefined) return "";
  return "atLeast" in target ? `>= ${target.atLeast}` : `<= ${target.atMost}`;
}

function verdict(ratio: Ratio): string {
  const reached = isReached(ratio);
  if (reached === undefined) return "";
  return reached ? "reached" : "NOT REACHED";
}
