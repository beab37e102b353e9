import {
  create,
  type DescField,
  type DescMessage,
  type DescMethod,
  getOption,
  hasOption,
  type JsonObject,
  toJson,
} from "@bufbuild/protobuf";
import { http } from "../../../gen/google/api/annotations_pb.ts";
import type { HttpRule } from "../../../gen/google/api/http_pb.ts";
import { isHttpBody } from "./http-body.ts";
import { type FieldPath, findField, protoPath } from "./params.ts";
import { type PathTemplate, parsePathTemplate } from "./path-template.ts";
import type { RestMethod, RestRoute } from "./rest.ts";
import { RouteTrie } from "./route-trie.ts";

/**
 * Parses the `google.api.http` rules of the methods that have one.
 *
 * @throws Error if a rule is invalid, or if two have the same shape. Names the method, and for templates the column.
 */
export function createRestRouter(methods: readonly DescMethod[]): RouteTrie<RestRoute> {
  const trie = new RouteTrie<RestRoute>();
  for (const method of methods) {
    if (!hasOption(method, http)) continue;
    if (!takesOneMessage(method))
      throw new Error(`${method} has a rule, but takes a stream, which REST doesn't support`);
    const rule = getOption(method, http);
    for (const binding of [rule, ...rule.additionalBindings]) {
      if (binding !== rule && binding.additionalBindings.length > 0)
        throw new Error(`${method} has additional bindings in an additional binding`);
      addRule(trie, method, binding);
    }
  }
  return trie;
}

function takesOneMessage(method: DescMethod): method is RestMethod {
  return method.methodKind === "unary" || method.methodKind === "server_streaming";
}

function addRule(trie: RouteTrie<RestRoute>, method: RestMethod, rule: HttpRule): void {
  const { httpMethod, path } = patternOf(method, rule);
  const route = readRule(method, path, rule);
  trie.add(httpMethod, route.template, route, (other) => `${other.method} (${httpMethod} ${other.path})`);
}

/** @throws Error if the rule has no path, or an invalid HTTP method. */
function patternOf(method: RestMethod, { pattern }: HttpRule): { httpMethod: string; path: string } {
  if (pattern.case === undefined) throw new Error(`${method} has a rule without a path`);
  const custom = pattern.case === "custom" ? pattern.value : undefined;
  const httpMethod = custom ? custom.kind : pattern.case.toUpperCase();
  const path = custom ? custom.path : String(pattern.value);
  if (!/^(?:\*|[A-Za-z-]+)$/.test(httpMethod)) throw ruleError(method, path, "the rule has no HTTP method");
  return { httpMethod, path };
}

function readRule(method: RestMethod, path: string, rule: HttpRule): RestRoute {
  const { input, output } = method;
  const template = parseTemplate(method, path);
  const variables = template.variables.map((variable) => variableField(method, path, variable.path));
  const body = bodyOf(method, path, rule.body);
  const isRawRequest = isHttpBody(body === "*" ? input : singleMessage(body));
  const bound = template.variables.map((variable) => variable.path);
  for (const name of bound) rejectTaken(method, path, name, body, isRawRequest);
  const responseBody = responseBodyOf(method, path, rule.responseBody);
  const fromBody = body === "*" ? input.fields : body ? [body] : [];
  return {
    method,
    path,
    template,
    variables,
    body,
    taken: [...bound, ...fromBody.map((field) => field.name)],
    responseBody,
    isRawRequest,
    isRawReply: isHttpBody(responseBody ? singleMessage(responseBody.field) : output),
  };
}

function parseTemplate(method: RestMethod, path: string): PathTemplate {
  try {
    return parsePathTemplate(path);
  } catch (error) {
    throw new Error(`${method}: ${(error as Error).message}`, { cause: error });
  }
}

/** `google/api/http.proto`: a variable must be a non-repeated field of a primitive type, by its proto name. */
function variableField(method: RestMethod, template: string, name: string): FieldPath {
  const path = findField(method.input, name);
  const kind = path?.at(-1)?.fieldKind;
  if (!path || protoPath(path) !== name || (kind !== "scalar" && kind !== "enum"))
    throw variableError(method, template, name, `which is not a single value in ${method.input.typeName}`);
  return path;
}

/** Rejects a variable for a field that the body sets. */
function rejectTaken(
  method: RestMethod,
  template: string,
  name: string,
  body: RestRoute["body"],
  isRawRequest: boolean,
): void {
  if (typeof body === "object" && name === body.name)
    throw variableError(method, template, name, "which is the body");
  if (isRawRequest && (body === "*" || name.startsWith(`${body?.name}.`)))
    throw variableError(method, template, name, "which is part of the body, a google.api.HttpBody");
}

/** An error at the column of a variable. Its name is unique within the template. */
function variableError(method: RestMethod, template: string, name: string, problem: string): Error {
  const column = template.search(new RegExp(`\\{${name.replaceAll(".", "\\.")}[=}]`)) + 2;
  return ruleError(method, template, `it binds ${name}, ${problem}, at column ${column}`);
}

function ruleError(method: RestMethod, template: string, problem: string): Error {
  return new Error(`${method}: path template ${JSON.stringify(template)}: ${problem}`);
}

function bodyOf(method: RestMethod, template: string, name: string): RestRoute["body"] {
  if (name === "" || name === "*") return name === "*" ? "*" : undefined;
  const field = method.input.fields.find((candidate) => candidate.name === name);
  if (!field)
    throw ruleError(method, template, `its body ${name} is not a field of ${method.input.typeName}`);
  return field;
}

function responseBodyOf(method: RestMethod, template: string, name: string): RestRoute["responseBody"] {
  if (name === "") return undefined;
  const { output } = method;
  const field = output.fields.find((candidate) => candidate.name === name);
  if (!field)
    throw ruleError(method, template, `its response body ${name} is not a field of ${output.typeName}`);
  const empty = toJson(output, create(output), { alwaysEmitImplicit: true }) as JsonObject;
  return { field, unset: empty[field.jsonName] ?? null };
}

/** The message type of a singular message field. */
function singleMessage(field: DescField | undefined): DescMessage | undefined {
  return field?.fieldKind === "message" ? field.message : undefined;
}
