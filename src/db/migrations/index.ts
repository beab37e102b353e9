import type { Migration } from "kysely";
import * as usersAndOTPEmails from "./0001-users-and-otp-emails.ts";
import * as lifecycle from "./0002-lifecycle.ts";
import * as limits from "./0003-limits.ts";
import * as challenges from "./0004-challenges.ts";
import * as suppressions from "./0007-suppressions.ts";
import * as letters from "./0008-letters.ts";
import * as manyWriters from "./0010-many-writers.ts";
import * as eventLinks from "./0011-event-links.ts";
import * as clusteredRows from "./0012-clustered-rows.ts";

/** All migrations, in order, handwritten and forward only. */
export const migrations: Record<string, Migration> = {
  "0001-users-and-otp-emails": usersAndOTPEmails,
  "0002-lifecycle": lifecycle,
  "0003-limits": limits,
  "0004-challenges": challenges,
  "0007-suppressions": suppressions,
  "0008-letters": letters,
  "0010-many-writers": manyWriters,
  "0011-event-links": eventLinks,
  "0012-clustered-rows": clusteredRows,
};
