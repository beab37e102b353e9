import { Validator } from "@seriousme/openapi-schema-validator";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import { expect } from "vitest";

/** The parts of an OpenAPI document that tests use. */
export interface OpenApi {
  readonly servers: readonly { readonly url: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly responses: Readonly<Record<string, Response>>;
    readonly securitySchemes: Readonly<Record<string, unknown>>;
  };
}

export interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, Response | { readonly $ref: string }>>;
  readonly "x-codeSamples": readonly { readonly lang: string; readonly source: string }[];
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "query";
  readonly required?: boolean;
  readonly schema: Schema;
  readonly description?: string;
  readonly example?: unknown;
}

export interface Response {
  readonly headers?: Readonly<Record<string, { readonly required?: boolean; readonly schema: Schema }>>;
  readonly content: Content;
}

export type Content = Readonly<Record<string, MediaType>>;

export interface MediaType {
  readonly schema?: Schema;
  readonly example?: unknown;
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>;
}

export type Schema = Readonly<Record<string, unknown>>;

export async function expectValid(document: object): Promise<void> {
  expect(await new Validator().validate({ ...document })).toEqual({ valid: true });
}

/** All operations of a document, with their paths and methods. */
export function operationsOf({ paths }: OpenApi) {
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );
}

/**
 * Validates values against schemas of a document. Stricter than the document: objects must not have unknown properties, so
 * that undocumented ones are found.
 */
export function createChecker(document: OpenApi): (schema: Schema, value: unknown) => string[] {
  const ajv = new Ajv2020({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  formats.default(ajv);
  for (const format of ["int32", "uint32", "int64", "uint64", "float", "double"]) ajv.addFormat(format, true);
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    ajv.addSchema(close(schema, true) as object, `#/components/schemas/${name}`);
  }
  const compiled = new Map<string, ValidateFunction>();
  return (schema, value) => {
    const text = JSON.stringify(schema);
    const validate = compiled.get(text) ?? ajv.compile(close(schema) as object);
    compiled.set(text, validate);
    if (validate(value)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
  };
}

/** Forbids unknown properties. `isPart`: not for a part of an object, which is closed where it is used. */
function close(schema: unknown, isPart = false): unknown {
  if (Array.isArray(schema)) return schema.map((part) => close(part, isPart));
  if (typeof schema !== "object" || schema === null) return schema;
  const parts = Object.entries(schema).map(([name, value]) => {
    if (["examples", "const", "enum"].includes(name)) return [name, value];
    if (name !== "properties") return [name, close(value, name === "allOf")];
    const properties = Object.entries(value as object).map(([key, part]) => [key, close(part)]);
    return [name, Object.fromEntries(properties)];
  });
  const isObject = ["$ref", "properties", "allOf"].some((name) => name in schema);
  const isOpen = "additionalProperties" in schema || isPart || !isObject;
  return { ...Object.fromEntries(parts), ...(!isOpen && { unevaluatedProperties: false }) };
}

export function resolve(document: OpenApi, response: Response | { readonly $ref: string }): Response {
  if (!("$ref" in response)) return response;
  const found = document.components.responses[response.$ref.replace("#/components/responses/", "")];
  if (!found) throw new Error(`${response.$ref} is not in the document`);
  return found;
}
