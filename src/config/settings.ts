import { bounceSettings } from "./bounces.ts";
import { callerSettings } from "./callers.ts";
import { dataSettings } from "./data.ts";
import { keySettings } from "./keys.ts";
import { limitSettings } from "./limits.ts";
import { listenerSettings } from "./listener.ts";
import { mailSettings } from "./mail.ts";

/** All settings by subject, in the order of `countersign --help` and docs/configuration.md. */
export const subjects = {
  Network: listenerSettings,
  Data: dataSettings,
  Keys: keySettings,
  Callers: callerSettings,
  Mail: mailSettings,
  Bounces: bounceSettings,
  Limits: limitSettings,
};

export const allSettings = {
  ...listenerSettings,
  ...dataSettings,
  ...keySettings,
  ...callerSettings,
  ...mailSettings,
  ...bounceSettings,
  ...limitSettings,
};
