import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Issuer, startIssuer } from "./issuer.ts";
import { type LoadGenerator, startLoadGenerator } from "./load/generator.ts";
import { clientCore, type Pin, pinBy, whyUnpinned } from "./pin.ts";
import { startSilentRelay } from "./silent-relay.ts";

/** What is there for the time of a bench. */
export interface Surroundings extends Disposable {
  /** For all databases. It is removed with what is in it. */
  readonly folder: string;
  readonly issuer: Issuer;
  /** Where the service hands its mails over. */
  readonly smtpUrl: string;
  readonly generator: LoadGenerator;
  readonly pin: Pin;
  readonly machine: string;
  readonly isPinned: boolean;
  /** On a terminal, one line that is written over. */
  tell(step: string): void;
}

/** Puts this process on the client's side, too, and says what machine this is. */
export async function openSurroundings(): Promise<Surroundings> {
  const unpinned = whyUnpinned();
  const isPinned = unpinned === undefined;
  if (isPinned) spawnSync("taskset", ["-a", "-c", "-p", String(clientCore), String(process.pid)]);
  const machine = `Node ${process.version}, ${cpus()[0]?.model ?? "unknown CPU"}`;
  console.log(machine);
  console.log(isPinned ? "server and client pinned to a core each" : `not pinned: ${unpinned}`);
  const issuer = await startIssuer(16);
  const relay = await startSilentRelay();
  const pin = pinBy(isPinned);
  const generator = startLoadGenerator(pin);
  const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  return {
    folder,
    issuer,
    smtpUrl: relay.smtpUrl,
    generator,
    pin,
    machine,
    isPinned,
    tell(step) {
      if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${step}`);
    },
    [Symbol.dispose]() {
      generator.stop();
      issuer.close();
      relay.close();
      rmSync(folder, { recursive: true });
    },
  };
}

export function saveJson(path: string, results: object): void {
  save(path, `${JSON.stringify(results, null, 2)}\n`);
}

export function save(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/** The options of a command line. Ends the process, with the reason, where they cannot be used, and after the help. */
export function readOptions<T extends object>(
  parse: (args: readonly string[]) => T | "help",
  usage: string,
): T {
  try {
    const options = parse(process.argv.slice(2));
    if (options !== "help") return options;
    process.stdout.write(usage);
    process.exit(0);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}
