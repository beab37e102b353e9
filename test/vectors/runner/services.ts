import {
  createFileRegistry,
  createRegistry,
  type DescService,
  type FileRegistry,
  fromJson,
  type JsonObject,
} from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema, type FileDescriptorSet } from "@bufbuild/protobuf/wkt";
import { http } from "../../../gen/google/api/annotations_pb.ts";

export interface RuledMethod {
  readonly name: string;
  /** The HttpRule in proto JSON. */
  readonly rule: JsonObject;
  /** Full names with a leading dot. */
  readonly inputType: string;
  readonly outputType: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}

const ruleRegistry = createRegistry(http);
/** Building the registry of a descriptor set is slow, so each is built only once. */
const baseRegistries = new WeakMap<FileDescriptorSet, FileRegistry>();

/**
 * Creates a service of methods with rules.
 *
 * @param messages further message types, as DescriptorProto in proto JSON, in the package `rules`.
 */
export function makeService(
  base: FileDescriptorSet,
  methods: readonly RuledMethod[],
  messages: readonly JsonObject[] = [],
): DescService {
  const file = fromJson(
    FileDescriptorProtoSchema,
    {
      name: "rules.proto",
      package: "rules",
      syntax: "proto3",
      dependency: base.file.map(({ name }) => name),
      messageType: [...messages],
      service: [
        {
          name: "Rules",
          method: methods.map(({ rule, ...method }) => ({
            ...method,
            options: { "[google.api.http]": rule },
          })),
        },
      ],
    },
    { registry: ruleRegistry },
  );
  const baseRegistry = baseRegistries.get(base) ?? createFileRegistry(base);
  baseRegistries.set(base, baseRegistry);
  const service = createFileRegistry(file, (name) => baseRegistry.getFile(name)).getService("rules.Rules");
  if (!service) throw new Error("there is no service rules.Rules");
  return service;
}

/** Creates a message with a string field for each path. Returns a DescriptorProto in proto JSON. */
export function messageOf(name: string, paths: readonly string[], scope = ".rules"): JsonObject {
  const fullName = `${scope}.${name}`;
  const inner = new Map<string, string[]>();
  for (const path of paths) {
    const [first = "", ...rest] = path.split(".");
    inner.set(first, [...(inner.get(first) ?? []), ...(rest.length > 0 ? [rest.join(".")] : [])]);
  }
  const fields = [...inner].map(([field, below], i) => ({
    name: field,
    jsonName: protoCamelCase(field),
    number: i + 1,
    label: "LABEL_OPTIONAL",
    ...(below.length === 0
      ? { type: "TYPE_STRING" }
      : { type: "TYPE_MESSAGE", typeName: `${fullName}.In_${field}` }),
  }));
  const nested = [...inner]
    .filter(([, below]) => below.length > 0)
    .map(([field, below]) => messageOf(`In_${field}`, below, fullName));
  return { name, field: fields, nestedType: nested };
}
