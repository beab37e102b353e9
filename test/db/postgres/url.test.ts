import { expect, it } from "vitest";
import { openStore } from "../../../src/db/store.ts";

it.each([
  "postgres://someone:secret@h:port/x",
  "postgres://someone:secret@h:1,h:port/x",
  "postgres://someone:secret@h/x?prepare=perhaps",
  "postgres://someone:secret@h,i/x?target_session_attrs=standby",
])("refuses %s without quoting it", (url) => {
  expect(() => openStore(url)).toThrow(/database URL/);
  expect(() => openStore(url)).not.toThrow(/secret/);
});
