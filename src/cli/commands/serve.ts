import { createApp } from "../../app/app.ts";
import { readConfig } from "../../config/config.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { runServer } from "../run-server.ts";

export const serve = defineCommand({
  name: "serve",
  usage: "",
  help: "Start a production server. If settings are missing or unsafe, it lists all of them and exits.",
  options: {},
  async run() {
    await runServer(() => createApp(readConfig("serve")));
    return exitCodes.ok;
  },
});
