const lineWidth = 110;

/** A term, and its text in the column from `column` on. A long term has a line of its own. */
export function formatEntry(
  term: string,
  text: string,
  { indent = 2, column }: { indent?: number; column: number },
): string {
  const head = " ".repeat(indent) + term;
  const [first = "", ...others] = wrap(text, lineWidth - column);
  const rest = others.map((line) => `\n${" ".repeat(column)}${line}`).join("");
  const start = head.length < column ? head.padEnd(column) : `${head}\n${" ".repeat(column)}`;
  return start + first + rest;
}

/** Breaks text into lines between words. A word that is longer than a line stays whole. */
export function wrap(text: string, width = lineWidth): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines.splice(-1, 1, `${last} ${word}`);
    else lines.push(word);
  }
  return lines;
}
