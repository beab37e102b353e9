import { resolve } from "node:path";
import * as v from "valibot";
import { text } from "./values.ts";

/** Where the data is, and for whom tokens are. */
export const dataEntries = {
  COUNTERSIGN_DATA_DIR: v.optional(text, "./data"),
  COUNTERSIGN_DATABASE_URL: v.optional(
    v.pipe(
      text,
      v.regex(
        /^sqlite:.|^postgres(ql)?:\/\/./,
        "must be sqlite:PATH or postgres://user:password@host:port/database",
      ),
    ),
  ),
  COUNTERSIGN_AUDIENCE: v.optional(text),
};

type DataSettings = v.InferOutput<v.ObjectSchema<typeof dataEntries, undefined>>;

export function toDataConfig(settings: Partial<DataSettings>) {
  const dataDir = resolve(settings.COUNTERSIGN_DATA_DIR ?? "./data");
  return {
    dataDir,
    databaseUrl: settings.COUNTERSIGN_DATABASE_URL ?? `sqlite:${dataDir}/countersign.db`,
    audience: settings.COUNTERSIGN_AUDIENCE ?? "countersign",
  };
}
