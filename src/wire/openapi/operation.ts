import type { DescField, DescMessage, DescMethod, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { type FieldPath, isParameter, isWellKnown, protoPath } from "../rest/params.ts";
import type { RestRoute } from "../rest/rest.ts";
import { curlOf } from "./curl.ts";
import { jsonPath, openApiPath, parameterOf } from "./path.ts";
import {
  commentOf,
  exampleOf,
  fieldSchema,
  given,
  isOutputOnly,
  isRequired,
  messageSchema,
  objectSchema,
  type SchemaContext,
} from "./schemas.ts";

export interface OperationContext extends SchemaContext {
  /** RPC media types that a POST accepts besides JSON. */
  readonly rpcTypes: readonly string[];
  readonly serverUrl: string;
  readonly needsToken: boolean;
  /** References to the error responses, by status. */
  readonly errors: JsonObject;
}

/** Creates the OpenAPI operation of a route. `operationId` must be unique. */
export function operationOf(
  httpMethod: string,
  route: RestRoute,
  operationId: string,
  context: OperationContext,
): { path: string; operation: JsonObject } {
  const method: DescMethod = route.method;
  const { path, parameters } = openApiPath(route, context);
  const { summary, description } = commentOf(method, context);
  const body = requestBody(httpMethod, route, context);
  const query = route.body === "*" ? [] : queryParameters(route, method.input, context);
  const all = [...parameters, ...query];
  const curl = curlOf({
    httpMethod,
    url: context.serverUrl + path,
    parameters: all,
    body: body && exampleBody(body),
    needsToken: context.needsToken,
    isStreaming: isStreaming(method),
  });
  return {
    path,
    operation: {
      operationId,
      tags: [method.parent.name],
      ...given("summary", summary),
      ...given("description", description),
      ...(method.deprecated && { deprecated: true }),
      parameters: all,
      ...(body && { requestBody: body }),
      responses: { "200": successResponse(httpMethod, route, context), ...context.errors },
      // An extension that most documentation tools display.
      "x-codeSamples": [{ lang: "curl", label: "curl", source: curl }],
    },
  };
}

/** The parameters for the fields that come from neither path nor body. */
function queryParameters(
  route: RestRoute,
  desc: DescMessage,
  context: SchemaContext,
  outer: FieldPath = [],
): JsonObject[] {
  const { method, taken } = route;
  return desc.fields.flatMap((field) => {
    const path = [...outer, field];
    if (taken.includes(protoPath(path)) || isOutputOnly(field)) return [];
    if (isParameter(field)) {
      return [parameterOf(jsonPath(path), "query", path, context, path.every(isRequired))];
    }
    if (field.fieldKind !== "message" || isWellKnown(field.message)) return [];
    // Stop at a recursive message.
    const around = [method.input, ...outer.map((parent) => parent.message)];
    return around.includes(field.message) ? [] : queryParameters(route, field.message, context, path);
  });
}

function requestBody(
  httpMethod: string,
  { method, body, template, isRawRequest }: RestRoute,
  context: OperationContext,
): JsonObject | undefined {
  if (body === undefined) return undefined;
  const rpc = rpcContent(httpMethod, method, context);
  if (isRawRequest) return { content: binaryContent(["*/*"]) };
  const bound = template.variables.map((variable) => variable.path);
  if (body !== "*") {
    return {
      ...given("description", commentOf(body, context).text),
      ...(isRequired(body) && { required: true }),
      content: { "application/json": fieldContent(body, context, bound), ...rpc },
    };
  }
  const without = [...bound, ...method.input.fields.filter(isOutputOnly).map((field) => field.name)];
  const schema =
    without.length > 0 ? objectSchema(method.input, context, without) : messageSchema(method.input, context);
  const json = { schema, example: exampleOf(method.input, context, without) };
  const needed = method.input.fields.some((field) => isRequired(field) && !without.includes(field.name));
  return {
    ...given("description", commentOf(method.input, context).text),
    ...(needed && { required: true }),
    content: { "application/json": json, ...rpc },
  };
}

/** Undefined if the body is not JSON. */
function exampleBody({ content }: JsonObject): JsonValue | undefined {
  const json = (content as Record<string, JsonObject>)["application/json"];
  return json && (json.example ?? {});
}

function successResponse(
  httpMethod: string,
  { method, responseBody, isRawReply }: RestRoute,
  context: OperationContext,
): JsonObject {
  const { output } = method;
  const description = commentOf(output, context).text || "The call succeeded.";
  if (isRawReply) return { description, content: binaryContent(["*/*"]) };
  const json = responseBody
    ? fieldContent(responseBody.field, context)
    : { schema: messageSchema(output, context), example: exampleOf(output, context) };
  if (isStreaming(method)) {
    const lines = "One JSON value per line. If the call fails midway, the last line is the error.";
    const schema = { anyOf: [json.schema ?? {}, errorLine(context)] };
    return {
      description: `${description}\n\n${lines}`,
      content: { "application/x-ndjson": { ...json, schema } },
    };
  }
  const rpc = rpcContent(httpMethod, method, context);
  return { description, content: { "application/json": json, ...rpc } };
}

function errorLine(context: OperationContext): JsonObject {
  const error = messageSchema(StatusSchema, context);
  return { type: "object", title: "Error", properties: { error }, required: ["error"] };
}

function fieldContent(field: DescField, context: SchemaContext, bound: readonly string[] = []): JsonObject {
  const { example } = commentOf(field, context);
  return { schema: fieldSchema(field, context, bound), ...(example !== undefined && { example }) };
}

function rpcContent(httpMethod: string, method: DescMethod, { rpcTypes }: OperationContext): JsonObject {
  return httpMethod === "POST" && !isStreaming(method) ? binaryContent(rpcTypes) : {};
}

/** OpenAPI 3.1 §4.8.14.2: binary content has no schema. */
function binaryContent(types: readonly string[]): JsonObject {
  return Object.fromEntries(types.map((type) => [type, {}]));
}

function isStreaming({ methodKind }: DescMethod): boolean {
  return methodKind === "server_streaming";
}
