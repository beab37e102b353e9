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
 * Turns the types of the migrations, which are written once, into those of PostgreSQL. `integer` holds 63 bits, in SQLite
 * too. Text is compared byte by byte, as in SQLite: pages of a list come in the same order from both, in any locale.
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

/** Integers beyond 2^53 come back as decimal strings, never rounded; all others as numbers. The same as from SQLite. */
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
