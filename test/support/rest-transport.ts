import {
  create,
  createRegistry,
  type DescMessage,
  type DescMethodUnary,
  fromJson,
  getOption,
  type JsonObject,
  type MessageInitShape,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { type Code, ConnectError, type Transport } from "@connectrpc/connect";
import { http } from "../../gen/google/api/annotations_pb.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../gen/google/rpc/status_pb.ts";
import { encodeRequest } from "../vectors/runner/encode.ts";

const registry = createRegistry(ErrorInfoSchema, BadRequestSchema, RetryInfoSchema);

/** A REST client for tests, which calls methods by their `google.api.http` rule. */
export function createRestTransport(options: { baseUrl: string }): Transport {
  return {
    async unary<I extends DescMessage, O extends DescMessage>(
      method: DescMethodUnary<I, O>,
      signal: AbortSignal | undefined,
      _timeoutMs: number | undefined,
      header: ConstructorParameters<typeof Headers>[0],
      input: MessageInitShape<I>,
    ) {
      const message = create(method.input, input);
      const request = encodeRequest(method, getOption(method, http), message);
      const headers = new Headers(header);
      if (request.body !== undefined) headers.set("content-type", "application/json");
      const response = await fetch(
        `${options.baseUrl}${request.path}${request.query && `?${request.query}`}`,
        {
          method: request.method,
          headers,
          body: request.body === undefined ? null : JSON.stringify(request.body),
          signal: signal ?? null,
        },
      );
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
