import { execFile } from "node:child_process";
import { once } from "node:events";
import { connect as http2Connect } from "node:http2";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { create, createFileRegistry, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  ServerReflection,
  type ServerReflectionRequestSchema,
} from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as V1Alpha } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { shareTestApp, startTestApp } from "../support/app.ts";
import { exchange, frameOf } from "../support/wire/exchange.ts";

type Request = MessageInitShape<typeof ServerReflectionRequestSchema>["messageRequest"];

const service = "countersign.user.v3alpha.UserService";

/** Sends the requests on one stream and returns the responses. */
async function ask(origin: string, requests: readonly Request[], version = ServerReflection) {
  const client = createClient(version, createGrpcTransport({ baseUrl: origin }));
  async function* messages() {
    for (const messageRequest of requests) yield { host: "h", messageRequest };
  }
  const answers = [];
  for await (const answer of client.serverReflectionInfo(messages())) answers.push(answer.messageResponse);
  return answers;
}

function filesOf(answer: Awaited<ReturnType<typeof ask>>[number] | undefined) {
  if (answer?.case !== "fileDescriptorResponse") throw new Error(`the response is ${answer?.case}`);
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
}

/** Sorts files after their imports. Throws if an import is missing. */
function inOrder(files: readonly FileDescriptorProto[]): FileDescriptorProto[] {
  const ordered = new Set<FileDescriptorProto>();
  const add = (name: string) => {
    const file = files.find((candidate) => candidate.name === name);
    if (!file) throw new Error(`${name} was not sent`);
    for (const dependency of file.dependency) add(dependency);
    ordered.add(file);
  };
  for (const { name } of files) add(name);
  return [...ordered];
}

const app = shareTestApp();

describe.each([
  ["v1", ServerReflection],
  ["v1alpha", V1Alpha as unknown as typeof ServerReflection],
])("grpc.reflection.%s", (_version, version) => {
  it("lists the services without a token", async () => {
    const [answer] = await ask(app().origin, [{ case: "listServices", value: "" }], version);
    expect(answer).toMatchObject({ case: "listServicesResponse" });
    const names = answer?.case === "listServicesResponse" ? answer.value.service.map(({ name }) => name) : [];
    expect(names).toEqual([
      service,
      "countersign.user.v3alpha.ChallengeService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
  });

  it("sends a file with its imports, and no file twice", async () => {
    const [first, second] = await ask(
      app().origin,
      [
        { case: "fileContainingSymbol", value: `${service}.AddOTPEmail` },
        { case: "fileByFilename", value: "countersign/user/v3alpha/user.proto" },
      ],
      version,
    );
    const files = filesOf(first);
    const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: inOrder(files) }));
    expect(registry.getService(service)?.method.addOTPEmail).toBeDefined();
    expect(filesOf(second).map(({ name }) => name)).toEqual(["countersign/user/v3alpha/user.proto"]);
  });
});

describe("fileContainingSymbol", () => {
  it.each([
    ["a service", service],
    ["a method", `${service}.VerifyOTPEmail`],
    ["a message", "countersign.user.v3alpha.AddOTPEmailRequest"],
    ["a field", "countersign.user.v3alpha.AddOTPEmailRequest.user_id"],
    ["a oneof", "countersign.user.v3alpha.SetEmail.verification"],
    ["an enum", "countersign.user.v3alpha.UserState"],
    ["an enum value, which is a sibling of its enum", "countersign.user.v3alpha.USER_STATE_ACTIVE"],
    ["an extension", "google.api.http"],
  ])("finds %s", async (_name, value) => {
    const [answer] = await ask(app().origin, [{ case: "fileContainingSymbol", value }]);
    expect(filesOf(answer).length).toBeGreaterThan(0);
  });
});

describe("fileContainingExtension", () => {
  it("finds an extension by its number", async () => {
    const containingType = "google.protobuf.MethodOptions";
    const [numbers, file] = await ask(app().origin, [
      { case: "allExtensionNumbersOfType", value: containingType },
      { case: "fileContainingExtension", value: { containingType, extensionNumber: 72295728 } },
    ]);
    expect(numbers).toMatchObject({ value: { baseTypeName: containingType, extensionNumber: [72295728] } });
    expect(filesOf(file)[0]?.name).toBe("google/api/annotations.proto");
  });
});

describe("a request that cannot be answered", () => {
  it.each([
    ["an unknown symbol", { case: "fileContainingSymbol", value: "no.such.Symbol" }, Code.NotFound],
    ["an unknown file", { case: "fileByFilename", value: "../../etc/passwd" }, Code.NotFound],
    ["a name of an Object.prototype member", { case: "fileByFilename", value: "__proto__" }, Code.NotFound],
    [
      "an unknown extension",
      { case: "fileContainingExtension", value: { containingType: "a.B", extensionNumber: 1 } },
      Code.NotFound,
    ],
    ["an unknown type", { case: "allExtensionNumbersOfType", value: "no.such.Type" }, Code.NotFound],
    ["an empty request", { case: undefined }, Code.InvalidArgument],
  ] as const)("%s gets an error, and the stream continues", async (_name, request, errorCode) => {
    const [answer, next] = await ask(app().origin, [request, { case: "listServices", value: "" }]);
    expect(answer).toMatchObject({ case: "errorResponse", value: { errorCode } });
    expect(next?.case).toBe("listServicesResponse");
  });
});

describe("a stream", () => {
  const path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const grpc = { "content-type": "application/grpc", te: "trailers" };
  const listServices = frameOf(Buffer.from([0x3a, 0]));
  const portOf = (origin: string) => Number(new URL(origin).port);

  // The shutdown waits up to 25 seconds for calls in flight.
  it("that a client keeps open does not delay the shutdown", { timeout: 15_000 }, async () => {
    const { origin, app } = await startTestApp();
    const client = createClient(ServerReflection, createGrpcTransport({ baseUrl: origin }));
    const leave = new AbortController();
    onTestFinished(() => leave.abort());
    async function* messages() {
      yield { messageRequest: { case: "listServices" as const, value: "" } };
      await once(leave.signal, "abort");
    }
    const answers = client.serverReflectionInfo(messages())[Symbol.asyncIterator]();
    expect((await answers.next()).done).toBe(false);
    const end = answers.next();
    await app[Symbol.asyncDispose]();
    expect((await end).done).toBe(true);
  });

  it("that a client keeps open ends at its deadline", async () => {
    const { origin, logLines } = await startTestApp();
    const session = http2Connect(origin);
    onTestFinished(() => session.destroy());
    const headers = { ...grpc, ":method": "POST", ":path": path, "grpc-timeout": "100m" };
    const stream = session.request(headers, { endStream: false });
    stream.write(listServices);
    stream.resume();
    const [trailers] = await once(stream, "trailers");
    expect(trailers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
    await once(stream, "close");
    expect(logLines.filter((line) => line.includes("ServerReflection"))).toEqual([
      expect.stringContaining('"code":"DeadlineExceeded"'),
    ]);
  });

  it.each([
    ["invalid protobuf", frameOf(Buffer.from([255])), Code.InvalidArgument],
    ["invalid UTF-8", frameOf(Buffer.from([0x22, 2, 255, 254])), Code.InvalidArgument],
    ["half a frame", listServices.subarray(0, 6), Code.InvalidArgument],
    ["200 KB", frameOf(Buffer.alloc(200_000)), Code.ResourceExhausted],
  ])("ends after %s, and the service continues", async (_name, bytes, code) => {
    const { origin } = app();
    const body = Buffer.concat([listServices, bytes]);
    const reply = await exchange(portOf(origin), "2", { path, headers: grpc, body });
    expect(reply.trailers["grpc-status"]).toBe(String(code));
    const [answer] = await ask(origin, [{ case: "listServices", value: "" }]);
    expect(answer?.case).toBe("listServicesResponse");
  });
});

it("is UNIMPLEMENTED if it is switched off", async () => {
  const { origin } = await startTestApp({ environment: { COUNTERSIGN_REFLECTION: "off" } });
  for (const version of [ServerReflection, V1Alpha as unknown as typeof ServerReflection]) {
    const asked = ask(origin, [{ case: "listServices", value: "" }], version);
    await expect(asked).rejects.toMatchObject({ code: Code.Unimplemented });
  }
});

describe("npx buf curl without a schema", () => {
  it.each(["grpc", "grpcweb", "connect"])("calls over %s", { timeout: 60_000 }, async (protocol) => {
    const { origin, token } = app();
    const bearer = await token("admin", { permissions: ["user.write"] });
    const userId = `u-${protocol}`;
    const { stdout } = await promisify(execFile)(
      "npx",
      [
        ...["--no-install", "buf", "curl", "--protocol", protocol, "--http2-prior-knowledge"],
        ...["-H", `Authorization: Bearer ${bearer}`],
        ...["-d", `{"userId": "${userId}", "organization": {"orgId": "o"}}`],
        `${origin}/${service}/CreateUser`,
      ],
      { cwd: fileURLToPath(new URL("../..", import.meta.url)) },
    );
    expect(JSON.parse(stdout)).toMatchObject({ userId, details: { resourceOwner: "o" } });
  });
});
