import { listen } from "../../../src/http/server.ts";
import { createWire, protocolOf } from "../../../src/wire/wire.ts";
import { bindEcho } from "../echo.ts";
import { realInterceptors } from "./interceptors.ts";
import { beMeasured } from "./measured.ts";

// Both versions of HTTP come to the same port, as in production.
const [, auth] = process.argv.slice(2);
const { interceptors, headers } =
  auth === "auth" ? await realInterceptors(protocolOf) : { interceptors: [], headers: {} };

const server = await listen({
  host: "127.0.0.1",
  port: 0,
  handler: createWire({ services: [bindEcho()], rpcOnRestPaths: true, interceptors }),
});
beMeasured(server.port, headers);
