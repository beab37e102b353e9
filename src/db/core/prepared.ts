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

/** Stands in a query for a value that each call gives. */
export type Param<P> = <K extends keyof P & string>(name: K) => RawBuilder<P[K]>;

/** Runs a query with these values, at once where the engine can: then there is no promise to wait for. */
export type Prepared<P, R> = (db: Kysely<DB>, values: P) => R[] | Promise<R[]>;

/** What the adapter of an engine can do that answers without waiting, and has one connection. */
export interface ImmediateEngine {
  /**
   * Kysely's way to the connection is a promise for each of its layers, although the connection is in hand: 1.4 us a
   * statement, where most run for 1 to 7.
   */
  prepareNow(sql: string): RunNow;
}

/**
 * Runs a statement and returns its rows, or undefined where it has to wait: it is not of a transaction, and one is open.
 *
 * @throws if it is of a transaction that is over.
 */
export type RunNow = (parameters: readonly unknown[], isOfTransaction: boolean) => unknown[] | undefined;

/**
 * A query that is built and compiled once for each engine, and not for each call: that costs more than to run it (measured:
 * 10 to 30 us to build one with Kysely, and 2 to 6 us for SQLite to run it).
 *
 * For queries of one shape, whose values alone differ.
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
    const runNow = isImmediate(adapter) ? adapter.prepareNow(query.sql) : undefined;
    const made = { query, names, runNow };
    compiled.set(adapter, made);
    return made;
  }

  return (db, values) => {
    const { adapter } = db.getExecutor();
    const { query, names, runNow } = compiled.get(adapter) ?? compileFor(db, adapter);
    const parameters: unknown[] = [];
    for (const name of names) parameters.push(values[name]);
    const found = runNow?.(parameters, db.isTransaction);
    return (found as R[] | undefined) ?? runLater(db, { ...query, parameters });
  };
}

interface Compiled<P, R> {
  readonly query: CompiledQuery<R>;
  /** Which value each parameter is. */
  readonly names: readonly (keyof P)[];
  readonly runNow: RunNow | undefined;
}

async function runLater<R>(db: Kysely<DB>, query: CompiledQuery<R>): Promise<R[]> {
  const { rows } = await db.executeQuery<R>(query);
  return rows;
}

function isImmediate(adapter: DialectAdapter): adapter is DialectAdapter & ImmediateEngine {
  return "prepareNow" in adapter;
}

/**
 * Writes what is the same in each call into the statement. Where a table has a partial index, SQLite asks at each run anew
 * whether it serves for the parameters that are bound, and prepares the statement once more: 3 to 60 us.
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
