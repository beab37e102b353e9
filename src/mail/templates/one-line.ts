/** Replaces line breaks, control characters and bidirectional controls by spaces, and truncates. */
export function oneLine(text: string, charactersMax = 80): string {
  const characters = text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  return [...characters].slice(0, charactersMax).join("");
}
