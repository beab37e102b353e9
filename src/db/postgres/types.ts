import {
  type ColumnDefinitionNode,
  type DataTypeNode,
  GeneratedNode,
  type KyselyPlugin,
  type OperationNode,
  OperationNodeTransformer,
  RawNode,
} from "kysely";
import pg from "pg";

/**
 * Maps the column types of the migrations, which are written for SQLite, to those of PostgreSQL. An `integer` has 64 bits on
 * both. Text compares byte by byte on both, in any locale, so that lists have the same order.
 */
export const postgresTypes: KyselyPlugin = {
  transformQuery: ({ node }) => transformer.transformNode(node),
  transformResult: async ({ result }) => result,
};

const names: Readonly<Record<string, string>> = {
  integer: "bigint",
  blob: "bytea",
  text: 'text collate "C"',
};

class TypeTransformer extends OperationNodeTransformer {
  protected override transformColumnDefinition(node: ColumnDefinitionNode): ColumnDefinitionNode {
    const { dataType, ...rest } = super.transformColumnDefinition(node);
    const column = { ...rest, dataType: toPostgres(dataType) };
    if (!node.autoIncrement) return column;
    return {
      ...column,
      autoIncrement: false,
      generated: GeneratedNode.create({ identity: true, always: true }),
    };
  }
}

const transformer = new TypeTransformer();

function toPostgres(type: OperationNode): OperationNode {
  const name = type.kind === "DataTypeNode" && names[String((type as DataTypeNode).dataType)];
  return name ? RawNode.createWithSql(name) : type;
}

const int8 = 20;

/** Reads integers beyond 2^53 as decimal strings, never rounded, and all others as numbers. The same as on SQLite. */
export const exactTypes: pg.CustomTypesConfig = {
  getTypeParser(oid, format) {
    if (oid === int8 && format !== "binary") return exactInteger;
    return pg.types.getTypeParser(oid, format as "text");
  },
};

function exactInteger(text: string): number | string {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : text;
}
