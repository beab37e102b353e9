/** Without line breaks, control characters and marks that turn the direction of writing, and not too long. */
export function oneLine(text: string, charactersMax = 80): string {
  const characters = text.replace(/[\p{C}\p{Z}]+/gu, " ").trim();
  return [...characters].slice(0, charactersMax).join("");
}
