import type { DescMethod, DescService, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { Rule } from "../auth/permissions.ts";
import { type BoundService, bind } from "../wire/wire.ts";
import { type Input, inputKey } from "./call-context.ts";
import type { ApiDependencies } from "./dependencies.ts";

// A method is one row in the table of its service (users/user-service.ts, challenges/challenge-service.ts): a rule, a
// parser and a handler. `admit` runs the parser and checks the rule, then the handler gets the result of the parser.

/** A call that was admitted, as its handler gets it. */
export interface Call<I, Message = unknown> {
  /** The result of the parser. */
  readonly input: I;
  readonly message: Message;
  readonly context: HandlerContext;
}

interface Method<M extends DescMethod, I extends Input> {
  readonly rule: Rule;
  /**
   * Validates the message. Must not read the database.
   *
   * @throws Refusal REQUEST_INVALID or another reason with INVALID_ARGUMENT
   */
  readonly parse: (message: MessageShape<M["input"]>, dependencies: ApiDependencies) => I;
  readonly handle: (call: Call<I, MessageShape<M["input"]>>, dependencies: ApiDependencies) => Reply<M>;
}

type Reply<M extends DescMethod> = M["methodKind"] extends "server_streaming"
  ? AsyncIterable<MessageInitShape<M["output"]>>
  : Promise<MessageInitShape<M["output"]>>;

/** All methods of a service. Mapped over `Inputs`, so that TypeScript infers them from the parsers. */
type MethodTable<S extends DescService, Inputs extends Record<keyof S["method"], Input>> = {
  readonly [K in keyof Inputs]: K extends keyof S["method"] ? Method<S["method"][K], Inputs[K]> : never;
};

/** What `admit` needs to know of a method. Public methods take no token. */
type Admission = "public" | { readonly rule: Rule; readonly parse: (message: never) => Input };

/** By `Service.Method`. */
export type Admissions = Readonly<Record<string, Admission>>;

/** A service with the admissions of its methods. */
export interface ApiService {
  readonly bound: BoundService;
  readonly admissions: Admissions;
}

/** Makes a service from its table of methods. */
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

/** Makes a service that needs no token, such as the health check of a load balancer. */
export function servePublic<S extends DescService>(service: S, implementation: ServiceImpl<S>): ApiService {
  const names = service.methods.map(({ name }) => `${service.name}.${name}`);
  return {
    bound: bind(service, implementation),
    admissions: Object.fromEntries(names.map((name) => [name, "public" as const])),
  };
}
