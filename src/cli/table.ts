/**
 * Lines of columns for a terminal, two spaces apart, with a head. What is shown may come from outside: characters that would
 * steer the terminal are replaced.
 */
export function formatTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [
    head,
    ...rows.map((row) => row.map((cell) => cell.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, "?") || "-")),
  ];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A time in UTC, by the second. */
export function formatTime(ms: number | null): string {
  return ms === null ? "" : new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
