import { allSettings } from "../../src/config/settings.ts";

/** The names of all settings. */
export function settingNames(): Set<string> {
  return new Set(Object.keys(allSettings));
}
