import { resolve } from "node:path";
import * as v from "valibot";
import type { Settings, Values } from "./setting.ts";
import { text } from "./values.ts";

const databaseUrl = v.pipe(
  text,
  v.regex(
    /^sqlite:.|^postgres(ql)?:\/\/./,
    "must be sqlite:PATH or postgres://user:password@host:port/database",
  ),
);

export const dataSettings = {
  COUNTERSIGN_DATA_DIR: {
    check: text,
    default: "./data",
    help: "Folder of the SQLite database and of generated keys",
  },
  COUNTERSIGN_DATABASE_URL: {
    check: databaseUrl,
    unset: "`countersign.db` in `COUNTERSIGN_DATA_DIR`",
    isSecret: true,
    help: "Database: `sqlite:PATH`, or `postgres://user:password@host:port/database`",
  },
} satisfies Settings;

export function toDataConfig(values: Values<typeof dataSettings>) {
  const dataDir = resolve(values.COUNTERSIGN_DATA_DIR);
  return {
    dataDir,
    databaseUrl: values.COUNTERSIGN_DATABASE_URL ?? `sqlite:${dataDir}/countersign.db`,
  };
}
