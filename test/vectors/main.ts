// `npm run vectors -- FILE...`: runs vector files against the wire on a real server.
import { runFiles } from "./runner/cli.ts";

process.exitCode = await runFiles(process.argv.slice(2), {
  root: process.cwd(),
  // npm changes to the package root, but the paths are relative to the folder of the caller.
  cwd: process.env.INIT_CWD ?? process.cwd(),
  log: console.log,
  error: console.error,
});
