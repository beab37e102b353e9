import { prepareMachine } from "../lib/machine.ts";
import { saveResults, showStep } from "../lib/output.ts";
import { isReached, ratiosTable } from "../lib/ratios.ts";
import { h2loadVersion } from "./h2load.ts";
import { measure } from "./measure.ts";
import { wireOptions } from "./options.ts";
import { ratiosOf } from "./ratios.ts";
import { rowsTable } from "./report.ts";

const options = wireOptions();
const generator = h2loadVersion();
if (generator === undefined) {
  console.error(
    "h2load is missing, which makes the load: apt-get install nghttp2-client (macOS: brew install nghttp2)",
  );
  process.exit(2);
}
const { name: machine, isPinned, pin } = prepareMachine();
const { connections, sessions, streams, rounds, out } = options;
console.log(`load by ${generator}`);
console.log(
  `HTTP/1.1: ${connections} connections. HTTP/2: ${sessions} connections with ${streams} streams. Medians of ${rounds}.\n`,
);

const rows = await measure(options, pin);
showStep("");
const ratios = ratiosOf(rows);
const targets = ratios.filter(({ target }) => target !== undefined);
const others = ratios.filter(({ target }) => target === undefined);
console.log(rowsTable(rows));
if (targets.length > 0) console.log(`\n${ratiosTable(targets)}`);
if (others.length > 0) console.log(`\nWithout a target:\n\n${ratiosTable(others)}`);
saveResults(out, {
  machine,
  generator,
  isPinned,
  options,
  rows,
  ratios: ratios.map((ratio) => ({ ...ratio, isReached: isReached(ratio) })),
});
