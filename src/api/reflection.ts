import { type DescFile, type DescService, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import type {
  ServerReflection,
  ServerReflectionRequest,
  ServerReflectionResponseSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { createSharedController } from "../lib/shared-signal.ts";

type Answer = MessageInitShape<typeof ServerReflectionResponseSchema>["messageResponse"];

interface ReflectionService {
  readonly implementation: ServiceImpl<typeof ServerReflection>;
  /** Ends all streams, which would delay the shutdown otherwise. */
  stop(): void;
}

/**
 * grpc.reflection.v1 (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md) for the given services. The
 * messages of v1alpha have the same shape, so the implementation serves both.
 *
 * A file is sent with its imports, and only once per stream.
 */
export function createReflection(services: readonly DescService[]): ReflectionService {
  const index = indexOf(services.map(({ file }) => file));
  const names = services.map(({ typeName }) => ({ name: typeName }));
  const stopping = createSharedController();
  return {
    implementation: {
      async *serverReflectionInfo(requests) {
        const sent = new Set<DescFile>();
        for await (const request of untilAborted(stopping.signal, requests)) {
          const { host, messageRequest } = request;
          const messageResponse = answer(messageRequest, index, names, sent);
          yield { validHost: host, originalRequest: { host, messageRequest }, messageResponse };
        }
      },
    },
    stop: () => stopping.abort(),
  };
}

/** Passes messages on until the signal aborts. */
async function* untilAborted<T>(signal: AbortSignal, messages: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = messages[Symbol.asyncIterator]();
  let stop = () => {};
  const stopped = new Promise<IteratorReturnResult<undefined>>((resolve) => {
    stop = () => resolve({ done: true, value: undefined });
  });
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  try {
    for (;;) {
      const { done, value } = await Promise.race([stopped, iterator.next()]);
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", stop);
    // Without awaiting: the client may never send another message.
    iterator.return?.().catch(() => {});
  }
}

function answer(
  request: ServerReflectionRequest["messageRequest"],
  index: Index,
  services: { name: string }[],
  sent: Set<DescFile>,
): Answer {
  switch (request.case) {
    case "listServices":
      return { case: "listServicesResponse", value: { service: services } };
    case "fileByFilename":
      return filesFrom(index.files.get(request.value), sent);
    case "fileContainingSymbol":
      return filesFrom(index.symbols.get(request.value), sent);
    case "fileContainingExtension": {
      const { containingType, extensionNumber } = request.value;
      return filesFrom(index.extensions.get(containingType)?.get(extensionNumber), sent);
    }
    case "allExtensionNumbersOfType": {
      const baseTypeName = request.value;
      const extensions = index.extensions.get(baseTypeName);
      if (!extensions && !index.symbols.has(baseTypeName)) return notFound;
      const extensionNumber = [...(extensions?.keys() ?? [])].sort((a, b) => a - b);
      return { case: "allExtensionNumbersResponse", value: { baseTypeName, extensionNumber } };
    }
    default:
      return failure(Code.InvalidArgument, "the request is empty: set one of its fields");
  }
}

function filesFrom(file: DescFile | undefined, sent: Set<DescFile>): Answer {
  if (!file) return notFound;
  const files = withImports(file).filter((other) => other === file || !sent.has(other));
  for (const each of files) sent.add(each);
  return { case: "fileDescriptorResponse", value: { fileDescriptorProto: files.map(encode) } };
}

const encoded = new WeakMap<DescFile, Uint8Array>();

/** Cached, because encoding is slow and the service takes no token. */
function encode(file: DescFile): Uint8Array {
  const bytes = encoded.get(file) ?? toBinary(FileDescriptorProtoSchema, file.proto);
  encoded.set(file, bytes);
  return bytes;
}

function failure(errorCode: Code, errorMessage: string): Answer {
  return { case: "errorResponse", value: { errorCode, errorMessage } };
}

const notFound = failure(Code.NotFound, "nothing with that name was found: list the services first");

/** Names are fully qualified, without a leading dot. */
interface Index {
  readonly files: ReadonlyMap<string, DescFile>;
  readonly symbols: ReadonlyMap<string, DescFile>;
  /** By extended message and field number. */
  readonly extensions: ReadonlyMap<string, ReadonlyMap<number, DescFile>>;
}

function indexOf(roots: readonly DescFile[]): Index {
  const files = new Map<string, DescFile>();
  const symbols = new Map<string, DescFile>();
  const extensions = new Map<string, Map<number, DescFile>>();
  for (const file of new Set(roots.flatMap(withImports))) {
    files.set(file.proto.name, file);
    for (const desc of nestedTypes(file)) {
      symbols.set(desc.typeName, file);
      for (const member of membersOf(desc)) symbols.set(member, file);
      if (desc.kind !== "extension") continue;
      const byNumber = extensions.get(desc.extendee.typeName) ?? new Map<number, DescFile>();
      extensions.set(desc.extendee.typeName, byNumber.set(desc.number, file));
    }
  }
  return { files, symbols, extensions };
}

type Nested = ReturnType<typeof nestedTypes> extends Iterable<infer T> ? T : never;

/** The full names of methods, fields and enum values. Enum values are siblings of their enum (descriptor.proto). */
function membersOf(desc: Nested): string[] {
  switch (desc.kind) {
    case "service":
      return desc.methods.map(({ name }) => `${desc.typeName}.${name}`);
    case "message":
      return [...desc.fields, ...desc.oneofs].map(({ name }) => `${desc.typeName}.${name}`);
    case "enum": {
      const scope = desc.typeName.slice(0, desc.typeName.lastIndexOf(".") + 1);
      return desc.values.map(({ name }) => scope + name);
    }
    default:
      return [];
  }
}

/** The file, followed by its direct and indirect imports. */
function withImports(file: DescFile): DescFile[] {
  const all = new Set([file]);
  for (const each of all) for (const dependency of each.dependencies) all.add(dependency);
  return [...all];
}
