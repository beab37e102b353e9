import type { JsonObject } from "@bufbuild/protobuf";
import type { FieldPath } from "../rest/params.ts";
import { literalText } from "../rest/path-template.ts";
import type { RestRoute } from "../rest/rest.ts";
import { commentOf, fieldSchema, given, type SchemaContext } from "./schemas.ts";

/**
 * Converts the template of a route to an OpenAPI path, where each parameter is a single segment.
 *
 * A variable of several segments is expanded: `{name=shelves/*}` becomes `shelves/{name}`, and its second wildcard
 * `{name2}`. `**` becomes one parameter. OpenAPI 3.1 can't express that its slashes must not be encoded, so its description
 * says so.
 */
export function openApiPath(
  { template, variables }: RestRoute,
  context: SchemaContext,
): { path: string; parameters: JsonObject[] } {
  const parameters: JsonObject[] = [];
  const wildcards = new Map<number, number>();
  const parts = template.segments.map((segment, i) => {
    if (segment !== "*" && segment !== "**") return encodeURIComponent(literalText(segment));
    const index = template.variables.findIndex(({ start, end }) => start <= i && (end === -1 || i < end));
    const nth = (wildcards.get(index) ?? 0) + 1;
    wildcards.set(index, nth);
    const variable = template.variables[index];
    const field = variables[index];
    const name = (field ? jsonPath(field) : "segment") + (nth > 1 || !field ? nth : "");
    const isWhole = variable !== undefined && variable.end - variable.start === 1;
    const source = template.segments.slice(variable?.start, variable?.end === -1 ? undefined : variable?.end);
    parameters.push(
      isWhole && field
        ? parameterOf(name, "path", field, context)
        : partOf(name, segment, variable && `{${variable.path}=${source.join("/")}}`),
    );
    return `{${name}}`;
  });
  const verb = template.verb === "" ? "" : `:${encodeURIComponent(template.verb)}`;
  return { path: `/${parts.join("/")}${verb}`, parameters };
}

/** The parameter for a field. Path parameters are always required. */
export function parameterOf(
  name: string,
  place: "path" | "query",
  path: FieldPath,
  context: SchemaContext,
  required = place === "path",
): JsonObject {
  const field = path.at(-1);
  if (!field) throw new Error(`the parameter ${name} has no field`);
  const { text, example } = commentOf(field, context);
  const schema = fieldSchema(field, context);
  return {
    name,
    in: place,
    ...(required && { required }),
    ...given("description", text),
    ...(field.deprecated && { deprecated: true }),
    // A parameter can be absent, but it can't be null.
    schema: Array.isArray(schema.type) ? { ...schema, type: schema.type[0] ?? "string" } : schema,
    ...(example !== undefined && { example }),
  };
}

function partOf(name: string, segment: string, source: string | undefined): JsonObject {
  const what = segment === "**" ? "Any number of segments, with the slashes between them" : "One segment";
  const description = source === undefined ? what : `${what}, of \`${source}\``;
  return { name, in: "path", required: true, description, schema: { type: "string" } };
}

/** The path in JSON names, such as `book.displayName`. */
export function jsonPath(path: FieldPath): string {
  return path.map((field) => field.jsonName).join(".");
}
