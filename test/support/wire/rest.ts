import { fileURLToPath } from "node:url";
import {
  createFileRegistry,
  type DescMethod,
  type DescMethodUnary,
  type DescService,
  fromJson,
  type JsonObject,
  type JsonValue,
  type Message,
  toJson,
} from "@bufbuild/protobuf";
import type { HandlerContext } from "@connectrpc/connect";
import { type BoundService, bind } from "../../../src/wire/wire.ts";
import { ownMessages } from "../../vectors/messages.ts";
import { makeService } from "../../vectors/services.ts";

export const root = fileURLToPath(new URL("../../..", import.meta.url));

const descriptors = ownMessages(root);

const { methods } = createFileRegistry(descriptors).getService("transcoding.vectors.v1.VectorService")!;

/** The unary method of the vectors by its name. */
export function methodNamed(name: string): DescMethodUnary {
  return unary(methods.find((method) => method.name === name));
}

/** What methods are like. Their messages are those of the vectors, or, with a dot before it, of a full name. */
export interface MethodShape {
  readonly input?: string;
  readonly output?: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}

/** A service of methods that have these rules, in proto JSON. They take and return Scalars unless told otherwise. */
export function serviceWithRules(
  rules: Readonly<Record<string, JsonObject>>,
  { input = "Scalars", output = "Scalars", ...streaming }: MethodShape = {},
): DescService {
  const nameOf = (type: string) => (type.startsWith(".") ? type : `.transcoding.vectors.v1.${type}`);
  const types = { inputType: nameOf(input), outputType: nameOf(output), ...streaming };
  return makeService(
    descriptors,
    Object.entries(rules).map(([name, rule]) => ({ name, rule, ...types })),
  );
}

/** The methods of such a service, which are unary. */
export function methodsWithRules(
  rules: Readonly<Record<string, JsonObject>>,
  shape?: MethodShape,
): DescMethodUnary[] {
  return serviceWithRules(rules, shape).methods.map(unary);
}

/** The proto JSON of a message after a round trip, so that spellings do not differ. */
export function canonical(desc: DescMethod["input"], json: JsonValue): JsonValue {
  return toJson(desc, fromJson(desc, json));
}

export function jsonOf(desc: DescMethod["input"], message: Message): JsonValue {
  return toJson(desc, message);
}

function unary(method: DescMethod | undefined): DescMethodUnary {
  if (method?.methodKind !== "unary") throw new Error(`${method} is no unary method`);
  return method as DescMethodUnary;
}

/** Binds every unary method of a service to one function, which returns proto JSON. */
export function bindJson(
  service: DescService,
  work: (method: DescMethod, input: Message, context: HandlerContext) => JsonValue,
): BoundService {
  const methods = service.methods.map((method) => {
    const impl = (input: Message, context: HandlerContext) =>
      fromJson(method.output, work(method, input, context));
    return [method.localName, impl];
  });
  return bind(service, Object.fromEntries(methods));
}
