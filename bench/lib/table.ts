/** Formats a table as text. The first line is the header; columns of numbers are aligned to the right. */
export function table(lines: readonly (readonly string[])[]): string {
  const [head = [], ...body] = lines;
  const width = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  const isNumeric = head.map((_, column) => body.every((line) => /^[\d.]+%?$/.test(line[column] ?? "")));
  const pad = (cell: string, column: number) =>
    isNumeric[column] ? cell.padStart(width[column]!) : cell.padEnd(width[column]!);
  return lines.map((line) => line.map(pad).join("  ").trimEnd()).join("\n");
}
