import type { DescMessage, DescMethod, DescService, JsonObject } from "@bufbuild/protobuf";
import type { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { restError } from "../rest/rest.ts";
import { createRestRouter } from "../rest/rules.ts";
import { type OperationContext, operationOf } from "./operation.ts";
import { commentOf, componentSchemas, given, messageSchema, nameComponents } from "./schemas.ts";

export interface OpenApiOptions {
  readonly services: readonly DescService[];
  /** The comments of the proto files, by the full name of the element. */
  readonly comments: Readonly<Record<string, string>>;
  /** The Info Object. */
  readonly info: { readonly title: string; readonly version: string } & JsonObject;
  readonly serverUrl: string;
  /** Alternatives: a call needs any one of these. */
  readonly security: readonly SecurityScheme[];
  /** By HTTP status, or "default". */
  readonly errors: Readonly<Record<string, ErrorResponse>>;
  /** The message types that can appear in the `details` of an error. */
  readonly errorDetails: readonly DescMessage[];
  /** RPC media types that a POST accepts besides JSON. */
  readonly rpcTypes?: readonly string[];
}

export interface SecurityScheme {
  readonly name: string;
  /** The Security Scheme Object. */
  readonly scheme: JsonObject;
  readonly scopes: readonly string[];
}

export interface ErrorResponse {
  readonly description: string;
  /** Errors with an ErrorInfo. */
  readonly examples: readonly ConnectError[];
  /** Header Objects by name. */
  readonly headers?: JsonObject;
}

/**
 * Creates an OpenAPI 3.1 document for the methods that have a `google.api.http` rule, from the routes that the REST router
 * serves. Texts, examples and limits come from the proto comments (see `parseComment`).
 *
 * @throws Error if a rule is invalid, or an example is not JSON.
 */
export function createOpenApi(options: OpenApiOptions): JsonObject {
  const { services, comments, info, serverUrl, security, errors, errorDetails, rpcTypes = [] } = options;
  const { all } = createRestRouter(services.flatMap(({ methods }) => methods));
  const methods = all.map(({ route }) => route.method);
  const messages = methods.flatMap(({ input, output }: DescMethod) => [input, output]);
  const context: OperationContext = {
    comments,
    names: nameComponents([...messages, StatusSchema, ...errorDetails]),
    anyTypes: errorDetails,
    rpcTypes,
    serverUrl,
    needsToken: security.length > 0,
    errors: Object.fromEntries(
      Object.keys(errors).map((status) => [status, { $ref: `#/components/responses/${status}` }]),
    ),
  };

  const paths: Record<string, JsonObject> = {};
  for (const [i, { httpMethod, route }] of all.entries()) {
    const key = httpMethod.toLowerCase();
    // OpenAPI 3.1 has no custom methods, nor a wildcard for all methods.
    if (!httpMethods.includes(key)) continue;
    const nth = methods.slice(0, i + 1).filter((method) => method === route.method).length;
    const id = `${route.method.parent.name}_${route.method.name}${nth > 1 ? `_${nth}` : ""}`;
    const { path, operation } = operationOf(httpMethod, route, id, context);
    // Two templates can have the same path in OpenAPI. Only the first is documented.
    paths[path] = { ...paths[path], [key]: paths[path]?.[key] ?? operation };
  }

  return {
    openapi: "3.1.0",
    info,
    servers: [{ url: serverUrl }],
    security: security.map(({ name, scopes }) => ({ [name]: [...scopes] })),
    tags: services.map((service) => ({
      name: service.name,
      ...given("description", commentOf(service, context).text),
    })),
    paths,
    components: {
      schemas: componentSchemas(context),
      responses: Object.fromEntries(
        Object.entries(errors).map(([status, error]) => [status, errorResponse(error, context)]),
      ),
      securitySchemes: Object.fromEntries(security.map(({ name, scheme }) => [name, scheme])),
    },
  };
}

const httpMethods = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

function errorResponse(
  { description, examples, headers }: ErrorResponse,
  context: OperationContext,
): JsonObject {
  return {
    description,
    ...(headers && { headers }),
    content: {
      "application/json": {
        schema: messageSchema(StatusSchema, context),
        examples: Object.fromEntries(
          examples.map((error) => [
            error.findDetails(ErrorInfoSchema)[0]?.reason ?? "",
            { value: JSON.parse(restError(error).body) as JsonObject },
          ]),
        ),
      },
    },
  };
}
