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
import { file_google_rpc_error_details } from "../../gen/google/rpc/error_details_pb.ts";
import { listen } from "../../src/http/server.ts";
import { type BoundService, bind, createWire } from "../../src/wire/wire.ts";
import type { StubReply } from "./format.ts";

export interface Call {
  readonly method: DescMethod;
  readonly message: Message;
}

/** A wire on a real listener, whose methods do what they are told. */
export interface Stub {
  readonly port: number;
  /** Tells the methods what to do from here on, and forgets their calls. */
  answer(reply: StubReply): void;
  /** Since then. */
  readonly calls: readonly Call[];
  close(): Promise<void>;
}

/** @throws Error on a rule that is not valid. */
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

/** The details may be of google.rpc, or of what the service is made of. */
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

/** By its name in google/rpc/code.proto. */
export function codeNamed(name: string): Code {
  const camel = name.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase());
  const code = Code[(camel === "Cancelled" ? "Canceled" : camel) as keyof typeof Code];
  if (code === undefined) throw new Error(`the code ${name} is not known`);
  return code;
}
