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
import { ownMessages } from "../../vectors/runner/messages.ts";
import { makeService } from "../../vectors/runner/services.ts";

export const root = fileURLToPath(new URL("../../..", import.meta.url));

const descriptors = ownMessages(root);

const { methods } = createFileRegistry(descriptors).getService("transcoding.vectors.v1.VectorService")!;

/** A unary method of the vectors. */
export function methodNamed(name: string): DescMethodUnary {
  return unary(methods.find((method) => method.name === name));
}

/** Types of a method. Message names are those of the vectors, or full names with a leading dot. */
export interface MethodShape {
  readonly input?: string;
  readonly output?: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}

/** Creates a service of methods with rules in proto JSON. By default, they take and return Scalars. */
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

/** The methods of such a service, which must be unary. */
export function methodsWithRules(
  rules: Readonly<Record<string, JsonObject>>,
  shape?: MethodShape,
): DescMethodUnary[] {
  return serviceWithRules(rules, shape).methods.map(unary);
}

/** Normalizes the proto JSON of a message. */
export function canonical(desc: DescMethod["input"], json: JsonValue): JsonValue {
  return toJson(desc, fromJson(desc, json));
}

export function jsonOf(desc: DescMethod["input"], message: Message): JsonValue {
  return toJson(desc, message);
}

function unary(method: DescMethod | undefined): DescMethodUnary {
  if (method?.methodKind !== "unary") throw new Error(`${method} is not a unary method`);
  return method as DescMethodUnary;
}

/** Binds all unary methods of a service to one function, which returns proto JSON. */
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
