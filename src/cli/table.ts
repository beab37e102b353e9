/**
 * Formats rows for a terminal, in columns two spaces apart. Control characters are replaced: cells may hold text of
 * other parties, which could control the terminal.
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

/** Formats milliseconds since the epoch as UTC, to the second. Empty for null. */
export function formatTime(ms: number | null): string {
  return ms === null ? "" : new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
