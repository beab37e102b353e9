import {
  create,
  createRegistry,
  type DescMessage,
  type DescMethodUnary,
  fromJson,
  getOption,
  type JsonObject,
  type MessageInitShape,
  toJson,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError, type Transport } from "@connectrpc/connect";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";

const registry = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** Calls methods by their `google.api.http` rule with JSON: a REST client made from the contract, for tests. */
export function createRestTransport(options: { baseUrl: string }): Transport {
  return {
    async unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      _timeoutMs: number | undefined,
      header: ConstructorParameters<typeof Headers>[0],
      input: MessageInitShape<I>,
    ) {
      const message = toJson(method.input, create(method.input, input)) as JsonObject;
      const { pattern, body } = getOption(method, http);
      const path = String(pattern.value).replace(/\{(\w+)\}/g, (_, name: string) => {
        const field = method.input.fields.find((f) => f.name === name);
        const value = String(message[field?.jsonName ?? ""] ?? "");
        delete message[field?.jsonName ?? ""];
        return encodeURIComponent(value);
      });
      // What is neither in the path nor in a body is in the query. (Test messages nest nothing there.)
      const query = body === "*" ? "" : new URLSearchParams(message as Record<string, string>).toString();
      const headers = new Headers(header);
      if (body === "*") headers.set("content-type", "application/json");
      const response = await fetch(options.baseUrl + path + (query && `?${query}`), {
        method: pattern.case?.toUpperCase() ?? "POST",
        headers,
        body: body === "*" ? JSON.stringify(message) : null,
        signal: signal ?? null,
      });
      const json = (await response.json()) as JsonObject;
      if (!response.ok) throw toConnectError(json, response.headers);
      return {
        stream: false as const,
        service: method.parent,
        method,
        header: response.headers,
        trailer: new Headers(),
        message: fromJson(method.output, json),
      };
    },
    stream() {
      throw new Error("the REST client of the tests has no streams");
    },
  };
}

function toConnectError(json: JsonObject, headers: Headers): ConnectError {
  const status = fromJson(StatusSchema, json, { registry });
  const error = new ConnectError(status.message, status.code as Code, headers);
  for (const detail of status.details) {
    if (!anyUnpack(detail, registry)) throw new Error(`an unknown error detail: ${detail.typeUrl}`);
    error.details.push({ type: detail.typeUrl.replace(/^.*\//, ""), value: detail.value });
  }
  return error;
}
