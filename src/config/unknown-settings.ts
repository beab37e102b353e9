import type { Settings } from "./setting.ts";
import { allSettings } from "./settings.ts";

const known: Settings = allSettings;

const names = Object.entries(known).flatMap(([name, { isSecret }]) =>
  isSecret ? [name, `${name}_FILE`] : [name],
);

/** Reports the variables that start with COUNTERSIGN_ and are no setting, each with the setting that was probably meant. */
export function unknownSettings(environment: Readonly<Record<string, string | undefined>>): string[] {
  const problems: string[] = [];
  for (const [name, value] of Object.entries(environment)) {
    if (!value || !/^countersign_/i.test(name) || names.includes(name) || isServiceLink(name, value))
      continue;
    const base = name.replace(/_FILE$/, "");
    if (base in known) {
      problems.push(`${name} is not a setting: only secrets can come from a file. Set ${base}`);
      continue;
    }
    const nearest = nearestTo(name.toUpperCase());
    problems.push(`${name} is not a setting${nearest ? `: did you mean ${nearest}?` : ""}`);
  }
  return problems;
}

/**
 * Whether Kubernetes set the variable, in each pod of the namespace of a service that is named `countersign` or
 * `countersign-…`: https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
function isServiceLink(name: string, value: string): boolean {
  if (/_SERVICE_(HOST|PORT|PORT_\w+)$|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name)) return true;
  return name.endsWith("_PORT") && /^(tcp|udp|sctp):\/\//.test(value);
}

/** The setting whose name differs least, by its length. Undefined if all differ in more than half of their letters. */
function nearestTo(name: string): string | undefined {
  const [nearest] = names
    .map((other) => ({
      other,
      difference: editDistance(name, other) / (other.length - "COUNTERSIGN_".length),
    }))
    .filter(({ difference }) => difference <= 0.5)
    .sort((a, b) => a.difference - b.difference);
  return nearest?.other;
}

/** How many letters must be inserted, deleted or replaced to get from one text to the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [index, letter] of [...from].entries()) {
    const next = [index + 1];
    for (const [column, other] of [...to].entries()) {
      const replaced = row[column]! + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, row[column + 1]! + 1, next[column]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}
