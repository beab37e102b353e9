import { readDataConfig } from "../../config/config.ts";
import { backUp } from "../../operation/transfer/backup.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";

export const backup = defineCommand({
  name: "backup",
  usage: "FILE",
  help: "Copy the SQLite database to a new file. The server may run meanwhile.",
  options: {},
  async run({ argument: file }) {
    const bytes = await backUp(readDataConfig().databaseUrl, file);
    console.log(`${file} holds the database as of now (${bytes} bytes)`);
    return exitCodes.ok;
  },
});
