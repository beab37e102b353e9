import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Rule } from "../auth/permissions.ts";
import { type BoundService, bind } from "../wire/wire.ts";
import { type Input, inputKey } from "./call-context.ts";
import type { ApiDependencies } from "./dependencies.ts";

/** What a handler gets: the message, and what the parser of the method made of it. */
export interface Call<I, Message = unknown> {
  readonly input: I;
  readonly message: Message;
  readonly context: HandlerContext;
}

/** One method of the API, from its message to its reply. */
export interface Method<M extends DescMethod, I extends Input> {
  /** Who may call it. */
  readonly rule: Rule;
  /** Turns a message into what it asks for, or throws INVALID_ARGUMENT. Pure, so that it runs before the first read. */
  readonly parse: (message: MessageShape<M["input"]>, dependencies: ApiDependencies) => I;
  readonly handle: (call: Call<I, MessageShape<M["input"]>>, dependencies: ApiDependencies) => Reply<M>;
}

type Reply<M extends DescMethod> = M["methodKind"] extends "server_streaming"
  ? AsyncIterable<MessageInitShape<M["output"]>>
  : Promise<MessageInitShape<M["output"]>>;

/** Every method of a service. `Inputs` is what the parsers return. */
export type MethodTable<S extends DescService, Inputs extends Record<keyof S["method"], Input>> = {
  readonly [K in keyof Inputs]: K extends keyof S["method"] ? Method<S["method"][K], Inputs[K]> : never;
};

/** What the checks before a handler need to know of a method. Public methods take no token. */
export type Admission = "public" | { readonly rule: Rule; readonly parse: (message: never) => Input };

/** By `Service.Method`. */
export type Admissions = Readonly<Record<string, Admission>>;

/** A service to be served, and what its methods ask of their callers. */
export interface ApiService {
  readonly bound: BoundService;
  readonly admissions: Admissions;
}

/** Binds a table of methods to what its parsers and handlers depend on. */
export function serveTable<S extends DescService, Inputs extends Record<keyof S["method"], Input>>(
  service: S,
  table: MethodTable<S, Inputs>,
  dependencies: ApiDependencies,
): ApiService {
  const methods = table as unknown as Readonly<Record<string, Method<DescMethod, Input>>>;
  const admissions: Record<string, Admission> = {};
  const implementation: Record<string, unknown> = {};
  for (const method of service.methods) {
    const { rule, parse, handle } = methods[method.localName]!;
    admissions[`${service.name}.${method.name}`] = { rule, parse: (message) => parse(message, dependencies) };
    implementation[method.localName] = (message: never, context: HandlerContext) =>
      handle({ input: context.values.get(inputKey) as Input, message, context }, dependencies);
  }
  return { bound: bind(service, implementation as Partial<ServiceImpl<S>>), admissions };
}

/** A service that everyone may call, such as the health check of a load balancer, which has no token. */
export function servePublic<S extends DescService>(service: S, implementation: ServiceImpl<S>): ApiService {
  const names = service.methods.map(({ name }) => `${service.name}.${name}`);
  return {
    bound: bind(service, implementation),
    admissions: Object.fromEntries(names.map((name) => [name, "public" as const])),
  };
}
