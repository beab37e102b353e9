import {
  createFileRegistry,
  createRegistry,
  type DescMethodUnary,
  fromJson,
  type Message,
} from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { file_google_api_annotations as annotations, http } from "../../gen/google/api/annotations_pb.ts";
import { type BoundService, bind } from "../../src/wire/wire.ts";

/** `message Text { string text = 1; }` */
export type Text = Message<"bench.v1.Text"> & { text: string };

export const echoPath = "/bench.v1.EchoService/Echo";
export const restPath = "/v1/echo";

const file = fromJson(
  FileDescriptorProtoSchema,
  {
    name: "bench/echo.proto",
    package: "bench.v1",
    syntax: "proto3",
    dependency: [annotations.proto.name],
    messageType: [
      {
        name: "Text",
        field: [{ name: "text", jsonName: "text", number: 1, type: "TYPE_STRING", label: "LABEL_OPTIONAL" }],
      },
    ],
    service: [
      {
        name: "EchoService",
        method: [
          {
            name: "Echo",
            inputType: ".bench.v1.Text",
            outputType: ".bench.v1.Text",
            options: { "[google.api.http]": { post: restPath, body: "*" } },
          },
        ],
      },
    ],
  },
  { registry: createRegistry(http) },
);

export const EchoService = createFileRegistry(file, (name) =>
  name === annotations.proto.name ? annotations : undefined,
).getService("bench.v1.EchoService")!;

export const echoMethod = EchoService.method.echo as DescMethodUnary;

/** The trivial handler, behind both connect-node and the unary engine. */
export function bindEcho(): BoundService {
  const implementation = { echo: ({ text }: Text) => ({ text }) };
  return bind(EchoService, implementation as unknown as Parameters<typeof bind<typeof EchoService>>[1]);
}
