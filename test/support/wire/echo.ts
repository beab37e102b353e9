import { create, createFileRegistry, type Message } from "@bufbuild/protobuf";
import {
  FileDescriptorProtoSchema,
  FieldDescriptorProto_Label as Label,
  MethodOptions_IdempotencyLevel,
  FieldDescriptorProto_Type as Type,
} from "@bufbuild/protobuf/wkt";
import { type CallOptions, createClient, type HandlerContext, type Transport } from "@connectrpc/connect";
import { type BoundService, bind } from "../../../src/wire/wire.ts";

/** `message Text { string text = 1; }` */
export type Text = Message<"test.echo.v1.Text"> & { text: string };

const file = create(FileDescriptorProtoSchema, {
  name: "test/echo.proto",
  package: "test.echo.v1",
  syntax: "proto3",
  messageType: [
    {
      name: "Text",
      field: [{ name: "text", jsonName: "text", number: 1, type: Type.STRING, label: Label.OPTIONAL }],
    },
  ],
  service: [
    {
      name: "EchoService",
      method: [
        {
          name: "Read",
          inputType: ".test.echo.v1.Text",
          outputType: ".test.echo.v1.Text",
          options: { idempotencyLevel: MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS },
        },
        {
          name: "Split",
          inputType: ".test.echo.v1.Text",
          outputType: ".test.echo.v1.Text",
          serverStreaming: true,
        },
        {
          name: "Join",
          inputType: ".test.echo.v1.Text",
          outputType: ".test.echo.v1.Text",
          clientStreaming: true,
        },
        {
          name: "Chat",
          inputType: ".test.echo.v1.Text",
          outputType: ".test.echo.v1.Text",
          clientStreaming: true,
          serverStreaming: true,
        },
      ],
    },
  ],
});

/** A service with a method of each kind. `Read` has no side effects, so it can be called with GET. */
export const EchoService = createFileRegistry(file, () => undefined).getService("test.echo.v1.EchoService")!;

type Init = { text?: string };

/** The implementation of EchoService. */
export interface EchoImpl {
  read?(input: Text, context: HandlerContext): Init | Promise<Init>;
  split?(input: Text, context: HandlerContext): AsyncIterable<Init>;
  join?(input: AsyncIterable<Text>, context: HandlerContext): Promise<Init>;
  chat?(input: AsyncIterable<Text>, context: HandlerContext): AsyncIterable<Init>;
}

export function bindEcho(implementation: EchoImpl): BoundService {
  return bind(EchoService, implementation as Parameters<typeof bind<typeof EchoService>>[1]);
}

export interface EchoClient {
  read(input: Init, options?: CallOptions): Promise<Text>;
  split(input: Init, options?: CallOptions): AsyncIterable<Text>;
  join(input: AsyncIterable<Init>, options?: CallOptions): Promise<Text>;
  chat(input: AsyncIterable<Init>, options?: CallOptions): AsyncIterable<Text>;
}

export function echoClient(transport: Transport): EchoClient {
  return createClient(EchoService, transport) as unknown as EchoClient;
}
