// Removes what the last build left, so that a deleted source file leaves no module behind.
import { rmSync } from "node:fs";

rmSync(process.argv[2] ?? "dist", { recursive: true, force: true });
