import {
  createRegistry,
  type DescMethod,
  type DescService,
  fromJson,
  type JsonValue,
  type Message,
} from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { file_google_rpc_error_details } from "../../../gen/google/rpc/error_details_pb.ts";
import { listen } from "../../../src/http/server.ts";
import { type BoundService, bind, createWire } from "../../../src/wire/wire.ts";
import type { StubReply } from "./format.ts";

export interface Call {
  readonly method: DescMethod;
  readonly message: Message;
}

/** A wire on a real server, with methods that reply what they are told to. */
export interface Stub {
  readonly port: number;
  /** Sets the reply of all methods, and clears `calls`. */
  answer(reply: StubReply): void;
  /** The calls since the last `answer`. */
  readonly calls: readonly Call[];
  close(): Promise<void>;
}

/** @throws Error if a rule is invalid */
export async function serveStub(services: readonly DescService[]): Promise<Stub> {
  const state: { calls: Call[]; reply: StubReply } = { calls: [], reply: {} };
  const bound = services.map((service) => bindStub(service, state));
  const handler = createWire({ services: bound, errorDomain: "countersign" });
  const server = await listen({ host: "127.0.0.1", port: 0, handler });
  return {
    port: server.port,
    answer(reply) {
      state.calls = [];
      state.reply = reply;
    },
    get calls() {
      return state.calls;
    },
    close: () => server.close(0),
  };
}

export function bindStub(
  service: DescService,
  state: { calls: Call[]; reply: StubReply } = { calls: [], reply: {} },
): BoundService {
  const methods = service.methods.map((method) => {
    const unary = (message: Message) => {
      state.calls.push({ method, message });
      const { reply } = state;
      if (reply.error) throw errorOf(reply.error, method);
      return reply.echo ? message : outputOf(method, reply.message ?? {});
    };
    const stream = async function* (message: Message) {
      state.calls.push({ method, message });
      const { reply } = state;
      const messages = reply.messages ?? (reply.message === undefined ? [] : [reply.message]);
      for (const json of messages) yield outputOf(method, json);
      if (reply.echo) yield message;
      if (reply.error) throw errorOf(reply.error, method);
    };
    return [method.localName, method.methodKind === "unary" ? unary : stream];
  });
  return bind(service, Object.fromEntries(methods));
}

function outputOf(method: DescMethod, json: JsonValue): Message {
  return fromJson(method.output, json);
}

type ReplyError = NonNullable<StubReply["error"]>;

/** Details may be messages of google.rpc, or of the files of the service. */
function errorOf({ code, message, details = [] }: ReplyError, { parent }: DescMethod): ConnectError {
  const error = new ConnectError(message, codeNamed(code));
  const registry = createRegistry(file_google_rpc_error_details, parent.file, ...parent.file.dependencies);
  for (const json of details) {
    const value = anyUnpack(fromJson(AnySchema, json, { registry }), registry);
    const desc = value && registry.getMessage(value.$typeName);
    if (desc) error.details.push({ desc, value });
  }
  return error;
}

/** Finds a code by its name in google/rpc/code.proto. */
export function codeNamed(name: string): Code {
  const camel = name.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const code = Code[(camel === "Cancelled" ? "Canceled" : camel) as keyof typeof Code];
  if (code === undefined) throw new Error(`the code ${name} is unknown`);
  return code;
}
