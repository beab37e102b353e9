import { fileURLToPath } from "node:url";

/** A file of the repository, by its path from the root. Compiled, this module is bench/dist/bench/lib/paths.js. */
export const repositoryFile = (path: string): string =>
  fileURLToPath(new URL(`../../../../${path}`, import.meta.url));
