const lineWidth = 110;

/** A term, indented by two, and its text in a column of its own. A term that is too long has a line of its own. */
export function formatEntry(term: string, text: string, column: number): string {
  const lines = wrap(text, lineWidth - column);
  const head = `  ${term}`;
  const first = head.length < column - 1 ? `${head.padEnd(column)}${lines.shift() ?? ""}` : head;
  return [first.trimEnd(), ...lines.map((line) => `${" ".repeat(column)}${line}`)].join("\n");
}

/** Breaks text into lines between words. A word longer than a line stays whole. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
