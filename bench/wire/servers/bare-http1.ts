import { createServer } from "node:http";
import { echoJson } from "./bare.ts";
import { listenMeasured } from "./measured.ts";

listenMeasured(createServer(echoJson));
