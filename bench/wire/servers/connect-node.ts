import { createServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { bindEcho } from "../echo.ts";
import { realInterceptors } from "./interceptors.ts";
import { listenOnFreePort } from "./measured.ts";

const [version, auth] = process.argv.slice(2);
const { interceptors, headers } =
  auth === "auth" ? await realInterceptors(() => "connect-node") : { interceptors: [], headers: {} };
const { service, implementation } = bindEcho();
const handler = connectNodeAdapter({
  routes: (router) => router.service(service, implementation),
  interceptors,
});

listenOnFreePort(version === "http1" ? createServer(handler) : createHttp2Server(handler), headers);
