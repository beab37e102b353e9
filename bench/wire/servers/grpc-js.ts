import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type UntypedServiceImplementation } from "@grpc/grpc-js";
import { echoMethod, echoPath, type Text } from "../echo.ts";
import { reportToBench } from "./measured.ts";

// Encodes messages with the library of the other servers, so that only the transport differs.
const { input, output } = echoMethod;
const definition = {
  echo: {
    path: echoPath,
    requestStream: false,
    responseStream: false,
    requestDeserialize: (bytes: Buffer) => fromBinary(input, bytes) as Text,
    requestSerialize: (message: Text) => Buffer.from(toBinary(input, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(output, bytes) as Text,
    responseSerialize: (message: Text) => Buffer.from(toBinary(output, message)),
  },
};
const implementation: UntypedServiceImplementation = {
  echo: (call: { request: Text }, callback: (error: null, reply: Text) => void) =>
    callback(null, create(output, { text: call.request.text }) as Text),
};

const server = new Server();
server.addService(definition, implementation);
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  reportToBench(port);
});
