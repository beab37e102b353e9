import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Shows what is being done on one line of the terminal, over the last step. An empty step clears the line. */
export function showStep(step: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${step}`);
}

/** Writes the results of a bench to a file, with the time, and prints where. */
export function saveResults(path: string, results: object): void {
  save(path, `${JSON.stringify({ time: new Date(), ...results }, null, 2)}\n`);
  console.log(`\nwritten to ${path}`);
}

/** Writes a file and the folders on its path. */
export function save(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}
