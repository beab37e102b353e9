import { readDataConfig } from "../../config/config.ts";
import { makePrivateFolder } from "../../lib/private-file.ts";
import { restore as restoreDatabase } from "../../operation/transfer/backup.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";

export const restore = defineCommand({
  name: "restore",
  usage: "FILE",
  help: "Make a database from a backup, where there is none. The server must not run.",
  options: {},
  async run({ argument: file }) {
    const { dataDir, databaseUrl } = readDataConfig();
    makePrivateFolder(dataDir);
    await restoreDatabase(file, databaseUrl);
    console.log(`the database is restored from ${file}. All codes and challenges in it have ended`);
    return exitCodes.ok;
  },
});
