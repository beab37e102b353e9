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

/** Runs a query with these values. */
export type Prepared<P, R> = (db: Kysely<DB>, values: P) => Promise<R[]>;

/** What the adapter of an engine can do that answers without waiting, and has one connection. */
export interface ImmediateEngine {
  /**
   * Runs a statement and returns its rows, or undefined where it has to wait: it is not of a transaction, and one is open.
   * Kysely's way to the connection is a promise for each of its layers, although the connection is in hand: 1.4 us a
   * statement, where most run for 1 to 7.
   *
   * @throws if it is of a transaction that is over.
   */
  runNow(sql: string, parameters: readonly unknown[], isOfTransaction: boolean): unknown[] | undefined;
}

/**
 * A query that is built and compiled once for each engine, and not for each call: that costs more than to run it (measured:
 * 10 to 30 us to build one with Kysely, and 2 to 6 us for SQLite to run it).
 *
 * For queries of one shape, whose values alone differ.
 */
export function prepare<P extends object, R>(
  build: (db: Kysely<DB>, param: Param<P>) => Compilable<R>,
): Prepared<P, R> {
  const compiled = new WeakMap<object, CompiledQuery<R>>();

  function compileFor(db: Kysely<DB>): CompiledQuery<R> {
    const { adapter } = db.getExecutor();
    const known = compiled.get(adapter);
    if (known) return known;
    const query = build(db.withPlugin(constantsAsLiterals), (name) => sql`${new Slot(name)}`).compile();
    compiled.set(adapter, query);
    return query;
  }

  return async (db, values) => {
    const query = compileFor(db);
    const parameters = query.parameters.map((value) =>
      value instanceof Slot ? values[value.name as keyof P] : value,
    );
    const { adapter } = db.getExecutor();
    const found = isImmediate(adapter) && adapter.runNow(query.sql, parameters, db.isTransaction);
    if (found) return found as R[];
    const { rows } = await db.executeQuery<R>({ ...query, parameters });
    return rows;
  };
}

function isImmediate(adapter: DialectAdapter): adapter is DialectAdapter & ImmediateEngine {
  return "runNow" in adapter;
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
