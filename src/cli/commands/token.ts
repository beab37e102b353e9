import { openLocalIssuer } from "../../auth/local-issuer.ts";
import type { Permission } from "../../auth/principal.ts";
import { readDataConfig } from "../../config/config.ts";
import { systemClock } from "../../lib/clock.ts";
import { duration, oneOf, required } from "../arguments.ts";
import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";

const permissions: readonly Permission[] = ["user.read", "user.write", "otp.challenge"];

export const token = defineCommand({
  name: "token",
  usage: "",
  help: "Print an access token of the local issuer, and nothing else.",
  options: {
    subject: {
      type: "string",
      placeholder: "ID",
      help: "Whom the token is for: the id of a user, or a name for a service [required]",
    },
    permission: {
      type: "string",
      multiple: true,
      placeholder: "P",
      help: `${permissions.join(", ")}; may be given several times`,
    },
    org: { type: "string", placeholder: "ORG", help: "Organization that the permissions are limited to" },
    ttl: { type: "string", placeholder: "T", default: "1h", help: "Lifetime, such as 90s, 10m or 1h" },
  },
  async run({ values }) {
    const claims = {
      subject: required("--subject", values.subject),
      org: values.org,
      permissions: (values.permission ?? []).map((value) => oneOf("--permission", value, permissions)),
      ttlMs: duration("--ttl", values.ttl),
    };
    const { dataDir, audience } = readDataConfig();
    const issuer = await openLocalIssuer(dataDir);
    console.log(await issuer.issue({ ...claims, audience }, systemClock));
    return exitCodes.ok;
  },
});
