import { createServer } from "node:http";
import { echoJson } from "./bare.ts";
import { listenOnFreePort } from "./measured.ts";

listenOnFreePort(createServer(echoJson));
