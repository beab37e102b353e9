import { readDataConfig } from "../../config/config.ts";
import { openStore } from "../../db/store.ts";
import { makePrivateFolder } from "../../lib/private-file.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";

export const migrate = defineCommand({
  name: "migrate",
  usage: "",
  help: "Bring the database up to date and exit. dev and serve do so when they start.",
  options: {},
  async run() {
    const { dataDir, databaseUrl } = readDataConfig();
    makePrivateFolder(dataDir);
    await using store = openStore(databaseUrl);
    const ran = await store.migrate();
    console.log(ran.length === 0 ? "the database is up to date" : `ran ${ran.join(", ")}`);
    return exitCodes.ok;
  },
});
