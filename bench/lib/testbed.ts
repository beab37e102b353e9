import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Issuer, startIssuer } from "./issuer.ts";
import { type LoadGenerator, startLoadGenerator } from "./load/generator.ts";
import { type Machine, prepareMachine } from "./machine.ts";
import { startSilentRelay } from "./silent-relay.ts";

/** What a bench of the service runs in. Disposing it stops the processes and deletes the databases. */
export interface Testbed extends Disposable {
  /** Temporary folder for the databases. */
  readonly folder: string;
  readonly issuer: Issuer;
  /** The relay of the service. */
  readonly smtpUrl: string;
  readonly generator: LoadGenerator;
  readonly machine: Machine;
}

export async function openTestbed(): Promise<Testbed> {
  const machine = prepareMachine();
  const issuer = await startIssuer(16);
  const relay = await startSilentRelay();
  const generator = startLoadGenerator(machine.pin);
  const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  return {
    folder,
    issuer,
    smtpUrl: relay.smtpUrl,
    generator,
    machine,
    [Symbol.dispose]() {
      generator.stop();
      issuer.close();
      relay.close();
      rmSync(folder, { recursive: true });
    },
  };
}
