import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { temporaryFolder } from "../folder.ts";

export interface ShiftedClock {
  /** For the process. */
  readonly environment: { readonly NODE_OPTIONS: string };
  /** Sets the clock. If the process is stopped, this takes effect when it continues. */
  shift(ms: number): void;
}

/** Shifts the wall clock of a process while it runs. Its timers are not affected. */
export function shiftedClock(ms = 0): ShiftedClock {
  const file = join(temporaryFolder(), "shift");
  const shift = (ms: number) => writeFileSync(file, String(ms));
  shift(ms);
  const code = `
    import { readFileSync } from "node:fs";
    const { now } = Date;
    let shift = 0;
    let readAt = -Infinity;
    Date.now = () => {
      if (performance.now() > readAt + 10) {
        shift = Number(readFileSync(${JSON.stringify(file)}, "utf8"));
        readAt = performance.now();
      }
      return now.call(Date) + shift;
    };`;
  const url = `data:text/javascript,${encodeURIComponent(code)}`;
  return { environment: { NODE_OPTIONS: `--import ${JSON.stringify(url)}` }, shift };
}
