import {
  type Compilable,
  type CompiledQuery,
  type DialectAdapter,
  type Kysely,
  type KyselyPlugin,
  OperationNodeTransformer,
  type RawBuilder,
  sql,
  ValueNode,
} from "kysely";
import type { DB } from "./schema.ts";

/** Marks the place of a value that each call gives. */
export type Param<P> = <K extends keyof P & string>(name: K) => RawBuilder<P[K]>;

/** Runs a query with these values. Synchronously if the engine can, so that there is no promise to wait for. */
export type Prepared<P, R> = (db: Kysely<DB>, values: P) => R[] | Promise<R[]>;

/**
 * The adapter of an engine that has one connection and answers synchronously. It saves the promises of Kysely's layers on the
 * way to a connection that is at hand (docs/performance.md#storage).
 */
export interface SyncAdapter {
  prepareSync(sql: string): RunSync;
}

/**
 * Runs a statement and returns its rows. Undefined: it has to wait, since it belongs to no transaction and one is open.
 *
 * @throws if it belongs to a transaction that has ended.
 */
export type RunSync = (parameters: readonly unknown[], isInTransaction: boolean) => unknown[] | undefined;

/**
 * Builds and compiles a query once per engine instead of once per call, which costs several times as much as running it
 * (docs/performance.md#storage). For queries that differ only in their values.
 */
export function prepare<P extends object, R>(
  build: (db: Kysely<DB>, param: Param<P>) => Compilable<R>,
): Prepared<P, R> {
  const compiled = new WeakMap<object, Compiled<P, R>>();

  function compileFor(db: Kysely<DB>, adapter: DialectAdapter): Compiled<P, R> {
    const query = build(db.withPlugin(constantsAsLiterals), (name) => sql`${new Slot(name)}`).compile();
    const names = query.parameters.map((value) => {
      if (value instanceof Slot) return value.name as keyof P;
      throw new Error(`a value of a prepared query is neither a parameter nor a literal: ${query.sql}`);
    });
    const runSync = isSync(adapter) ? adapter.prepareSync(query.sql) : undefined;
    const made = { query, names, runSync };
    compiled.set(adapter, made);
    return made;
  }

  return (db, values) => {
    const { adapter } = db.getExecutor();
    const { query, names, runSync } = compiled.get(adapter) ?? compileFor(db, adapter);
    const parameters: unknown[] = [];
    for (const name of names) parameters.push(values[name]);
    const rows = runSync?.(parameters, db.isTransaction);
    return (rows as R[] | undefined) ?? runAsync(db, { ...query, parameters });
  };
}

interface Compiled<P, R> {
  readonly query: CompiledQuery<R>;
  /** The name of each parameter, in their order. */
  readonly names: readonly (keyof P)[];
  readonly runSync: RunSync | undefined;
}

async function runAsync<R>(db: Kysely<DB>, query: CompiledQuery<R>): Promise<R[]> {
  const { rows } = await db.executeQuery<R>(query);
  return rows;
}

function isSync(adapter: DialectAdapter): adapter is DialectAdapter & SyncAdapter {
  return "prepareSync" in adapter;
}

/**
 * Writes constants into the text of a statement. With bound parameters SQLite checks on each run whether a partial index
 * applies, and prepares the statement again (docs/performance.md#storage).
 */
const constantsAsLiterals: KyselyPlugin = {
  transformQuery: ({ node, queryId }) => new Literals().transformNode(node, queryId),
  transformResult: async ({ result }) => result,
};

class Literals extends OperationNodeTransformer {
  protected override transformValue({ value, immediate = false }: ValueNode): ValueNode {
    const isConstant = value === null || typeof value === "string" || typeof value === "number";
    return isConstant || immediate ? ValueNode.createImmediate(value) : ValueNode.create(value);
  }
}

class Slot {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}
