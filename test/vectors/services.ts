import {
  create,
  createFileRegistry,
  createRegistry,
  type DescService,
  fromJson,
  type JsonObject,
} from "@bufbuild/protobuf";
import { protoCamelCase } from "@bufbuild/protobuf/reflect";
import {
  FileDescriptorProtoSchema,
  type FileDescriptorSet,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { http } from "../../gen/google/api/annotations_pb.ts";

export interface RuledMethod {
  readonly name: string;
  /** In proto JSON. */
  readonly rule: JsonObject;
  /** Full names, with a dot before them. */
  readonly inputType: string;
  readonly outputType: string;
  readonly clientStreaming?: boolean;
  readonly serverStreaming?: boolean;
}

/** A service of methods with these rules. `messages`: DescriptorProto in proto JSON, of the package `rules`. */
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
    { registry: createRegistry(http) },
  );
  const set = create(FileDescriptorSetSchema, { file: [...base.file, file] });
  const service = createFileRegistry(set).getService("rules.Rules");
  if (!service) throw new Error("the service is not there");
  return service;
}

/** A message with a text for each path. Proto JSON of a DescriptorProto. */
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
