import { listen } from "../../../src/http/server.ts";
import { createWire, protocolOf } from "../../../src/wire/wire.ts";
import { bindEcho } from "../echo.ts";
import { realInterceptors } from "./interceptors.ts";
import { reportToBench } from "./measured.ts";

// Serves both versions of HTTP on one port, as in production.
const [, auth] = process.argv.slice(2);
const { interceptors, headers } =
  auth === "auth" ? await realInterceptors(protocolOf) : { interceptors: [], headers: {} };

const server = await listen({
  host: "127.0.0.1",
  port: 0,
  handler: createWire({ services: [bindEcho()], rpcOnRestPaths: true, interceptors }),
});
reportToBench(server.port, headers);
