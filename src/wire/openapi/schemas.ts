import {
  type DescEnum,
  type DescField,
  type DescMessage,
  getOption,
  type JsonObject,
  type JsonValue,
  ScalarType,
} from "@bufbuild/protobuf";
import { FieldBehavior, field_behavior } from "../../../gen/google/api/field_behavior_pb.ts";
import { type Comment, parseComment } from "./comment.ts";
import { scalarSchema, wellKnownSchema } from "./well-known.ts";

/** What the schemas are built from, in addition to the descriptors. */
export interface SchemaContext {
  /** Comments by the full name of the element. */
  readonly comments: Readonly<Record<string, string>>;
  /** The component names. */
  readonly names: ReadonlyMap<DescMessage | DescEnum, string>;
  /** The message types that a `google.protobuf.Any` can hold. */
  readonly anyTypes: readonly DescMessage[];
}

/** Finds all messages and enums reachable from the roots, and gives each a unique name: short, or full in case of a conflict. */
export function nameComponents(roots: readonly DescMessage[]): Map<DescMessage | DescEnum, string> {
  const found = new Set<DescMessage | DescEnum>();
  const visit = (desc: DescMessage | DescEnum) => {
    if (found.has(desc) || (desc.kind === "message" && wellKnownSchema(desc))) return;
    found.add(desc);
    if (desc.kind === "message" && desc.typeName !== anyName) {
      for (const field of desc.fields) {
        const type = field.message ?? field.enum;
        if (type) visit(type);
      }
    }
  };
  for (const root of roots) visit(root);

  const shortName = ({ file, typeName }: DescMessage | DescEnum) =>
    typeName.slice(file.proto.package.length).replace(/^\./, "");
  const count = (name: string) => [...found].filter((desc) => shortName(desc) === name).length;
  return new Map(
    [...found].map((desc) => [desc, count(shortName(desc)) > 1 ? desc.typeName : shortName(desc)]),
  );
}

/** The schemas of all named messages and enums, by name. */
export function componentSchemas(context: SchemaContext): JsonObject {
  const sorted = [...context.names].sort(([, a], [, b]) => (a < b ? -1 : 1));
  return Object.fromEntries(
    sorted.map(([desc, name]) => [
      name,
      desc.kind === "enum"
        ? enumSchema(desc, context)
        : desc.typeName === anyName
          ? anySchema(context)
          : objectSchema(desc, context),
    ]),
  );
}

const anyName = "google.protobuf.Any";

/** The schema of a message field: a reference, or the schema of a well-known type. */
export function messageSchema(desc: DescMessage, { names }: SchemaContext): JsonObject {
  return wellKnownSchema(desc) ?? { $ref: `#/components/schemas/${names.get(desc)}` };
}

/**
 * The schema of a message.
 *
 * @param without fields to leave out, as paths of proto names.
 */
export function objectSchema(
  desc: DescMessage,
  context: SchemaContext,
  without: readonly string[] = [],
): JsonObject {
  const fields = desc.fields.filter((field) => !without.includes(field.name));
  const required = fields.filter(isRequired).map((field) => field.jsonName);
  const properties = fields.map((field) => [
    field.jsonName,
    { ...fieldSchema(field, context, without), ...annotations(field, context) },
  ]);
  const groups = desc.oneofs
    .map((oneof) => ({ oneof, members: oneof.fields.filter((field) => fields.includes(field)) }))
    .filter(({ members }) => members.length > 1);
  const description = [
    commentOf(desc, context).text,
    ...groups.map(({ oneof, members }) => {
      const named = members.map((field) => `\`${field.jsonName}\``).join(", ");
      return `At most one of ${named}. ${commentOf(oneof, context).text}`.trim();
    }),
  ];
  return {
    type: "object",
    ...given("description", description.filter(Boolean).join("\n\n")),
    properties: Object.fromEntries(properties),
    ...(required.length > 0 && { required }),
    ...atMostOne(groups.map(({ members }) => members.map((field) => field.jsonName))),
  };
}

/** Allows at most one member per group. (`oneOf` would need a branch for each combination of groups.) */
function atMostOne(groups: readonly string[][]): JsonObject {
  const pairs = groups.flatMap((names) =>
    names.flatMap((name, i) => names.slice(i + 1).map((other) => ({ required: [name, other] }))),
  );
  return pairs.length > 0 ? { not: { anyOf: pairs } } : {};
}

/**
 * The schema of the values of a field, without its description.
 *
 * @param without fields to leave out, as paths of proto names relative to the parent message.
 */
export function fieldSchema(
  field: DescField,
  context: SchemaContext,
  without: readonly string[] = [],
): JsonObject {
  const prefix = `${field.name}.`;
  const inner = without.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  if (inner.length > 0 && field.fieldKind === "message") return objectSchema(field.message, context, inner);
  const value = valueSchema(field, context);
  if (field.fieldKind === "list") return { type: "array", items: value };
  if (field.fieldKind === "map")
    return { type: "object", ...keySchema(field.mapKey), additionalProperties: value };
  return value;
}

function valueSchema(field: DescField, context: SchemaContext): JsonObject {
  if (field.message) return messageSchema(field.message, context);
  if (field.enum) return enumReference(field.enum, context);
  const { characters } = commentOf(field, context);
  return {
    ...scalarSchema(field.scalar),
    ...(characters &&
      field.scalar === ScalarType.STRING && { minLength: characters.min, maxLength: characters.max }),
  };
}

function keySchema(key: ScalarType): JsonObject {
  if (key === ScalarType.STRING) return {};
  if (key === ScalarType.BOOL) return { propertyNames: { enum: ["true", "false"] } };
  return { propertyNames: { pattern: "^-?[0-9]+$" } };
}

function enumReference(desc: DescEnum, { names }: SchemaContext): JsonObject {
  return { $ref: `#/components/schemas/${names.get(desc)}` };
}

function enumSchema(desc: DescEnum, context: SchemaContext): JsonObject {
  if (desc.typeName === "google.protobuf.NullValue") return { type: "null" };
  const values = desc.values.map((value) => {
    const { text } = commentOf({ typeName: `${desc.typeName}.${value.name}` }, context);
    return `- \`${value.name}\`${text && `: ${text}`}`;
  });
  const description = [commentOf(desc, context).text, values.join("\n")].filter(Boolean).join("\n\n");
  return { type: "string", description, enum: desc.values.map((value) => value.name) };
}

function anySchema(context: SchemaContext): JsonObject {
  const { names, anyTypes } = context;
  const withType = (type: JsonObject): JsonObject => ({
    type: "object",
    properties: { "@type": type },
    required: ["@type"],
  });
  const typed = anyTypes.map((desc) => ({
    title: names.get(desc) ?? desc.typeName,
    allOf: [messageSchema(desc, context), withType({ const: `type.googleapis.com/${desc.typeName}` })],
  }));
  const description = "A message, and its type in `@type`.";
  return { description, ...(typed.length > 0 ? { oneOf: typed } : withType({ type: "string" })) };
}

/** Annotations from the comment and the options of a field. */
function annotations(field: DescField, context: SchemaContext): JsonObject {
  const { text, example } = commentOf(field, context);
  const behaviors = getOption(field, field_behavior);
  return {
    ...given("description", text),
    ...(behaviors.includes(FieldBehavior.OUTPUT_ONLY) && { readOnly: true }),
    ...(behaviors.includes(FieldBehavior.INPUT_ONLY) && { writeOnly: true }),
    ...(field.deprecated && { deprecated: true }),
    ...(example !== undefined && { examples: [example] }),
  };
}

/**
 * An example of a message, from the examples of its fields. Uses the first member of each oneof.
 *
 * @param without fields to leave out, as paths of proto names.
 */
export function exampleOf(
  desc: DescMessage,
  context: SchemaContext,
  without: readonly string[] = [],
): JsonObject {
  const fields = desc.fields.filter(
    (field) => !without.includes(field.name) && field === (field.oneof?.fields[0] ?? field),
  );
  const values: [string, JsonValue][] = [];
  for (const field of fields) {
    const { example } = commentOf(field, context);
    if (example !== undefined) values.push([field.jsonName, example]);
  }
  return Object.fromEntries(values);
}

export function isRequired(field: DescField): boolean {
  return getOption(field, field_behavior).includes(FieldBehavior.REQUIRED);
}

export function isOutputOnly(field: DescField): boolean {
  return getOption(field, field_behavior).includes(FieldBehavior.OUTPUT_ONLY);
}

type Commented =
  | { readonly typeName: string }
  | { readonly parent: { readonly typeName: string }; readonly name: string };

export function commentOf(element: Commented, { comments }: Pick<SchemaContext, "comments">): Comment {
  const name = "typeName" in element ? element.typeName : `${element.parent.typeName}.${element.name}`;
  return parseComment(name, comments[name] ?? "");
}

/** An object with the member, or an empty object if the text is empty. */
export function given(name: string, text: string): JsonObject {
  return text === "" ? {} : { [name]: text };
}
