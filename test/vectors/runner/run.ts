import { createFileRegistry, type DescMessage, type DescService } from "@bufbuild/protobuf";
import type { FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { findUnknown, type Level, type Suites } from "./format.ts";
import { runDecode, runRoute, runTemplate, splitRoute } from "./run-paths.ts";
import { runEncode, runExchange, runQuery } from "./run-requests.ts";
import { type Stub, serveStub } from "./stub.ts";

export interface Case {
  readonly id: string;
  readonly level: Level;
  readonly name: string;
  /** Returns the problems, none if the case passes. */
  run(): Promise<readonly string[]>;
}

export interface Cases extends AsyncDisposable {
  readonly cases: readonly Case[];
}

const levels: readonly unknown[] = ["must", "should", "optional"];

/** Creates test cases from vectors. They must run sequentially, because they share the replies of the stub. */
export function casesOf(suites: Partial<Suites>, messages: FileDescriptorSet): Cases {
  const registry = createFileRegistry(messages);
  const ownFile = messages.file.find(({ name }) => name === "vectors.proto");
  const services = (ownFile?.service ?? []).map(
    ({ name }) => registry.getService(`${ownFile?.package}.${name}`)!,
  );
  const scalars = registry.getMessage(`${ownFile?.package}.Scalars`);
  let stub: Promise<Stub> | undefined;
  const world: World = {
    messages,
    services,
    get scalars() {
      if (!scalars) throw new Error("vectors.proto has no message Scalars");
      return scalars;
    },
    stub() {
      stub ??= serveStub(services);
      return stub;
    },
  };
  const cases: Case[] = [];
  const add = <K extends keyof Suites>(
    suite: K,
    nameOf: (vector: Suites[K][number]) => string,
    run: (vector: Suites[K][number], world: World) => Promise<string[]>,
  ) => {
    for (const vector of suites[suite] ?? []) {
      const unknown = findUnknown(suite, vector);
      if (!levels.includes(vector.level)) unknown.push(`the level ${vector.level} is unknown`);
      const { id } = vector;
      // A vector that is not understood always fails, whatever its level.
      if (unknown.length > 0) cases.push({ id, level: "must", name: suite, run: async () => unknown });
      else cases.push({ id, level: vector.level, name: nameOf(vector), run: () => run(vector, world) });
    }
  };
  add(
    "template",
    ({ template }) => template,
    (vector, { messages }) => runTemplate(vector, messages),
  );
  suites = { ...suites, route: suites.route?.flatMap(splitRoute) ?? [] };
  add(
    "route",
    ({ routes }) => routes.map(({ id }) => id).join(" "),
    (vector, { messages }) => runRoute(vector, messages),
  );
  add(
    "decode",
    ({ kind, raw }) => `${kind} ${raw}`,
    (vector, { messages }) => runDecode(vector, messages),
  );
  add("query", ({ query }) => query, runQuery);
  add(
    "http",
    ({ name }) => name,
    ({ request, expect }, world) => runExchange(request, expect, world),
  );
  add("encode", ({ rule }) => JSON.stringify(rule), runEncode);
  return {
    cases,
    async [Symbol.asyncDispose]() {
      await (await stub)?.close();
    },
  };
}

/** What the vectors of a file run against. */
export interface World {
  readonly messages: FileDescriptorSet;
  readonly services: readonly DescService[];
  readonly scalars: DescMessage;
  /** Serves the services of vectors.proto. */
  stub(): Promise<Stub>;
}
