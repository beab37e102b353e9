import * as v from "valibot";
import { endpoint, isFetchable, list, text } from "./values.ts";

/** The name of the issuer that `countersign token` speaks for. */
const localIssuer = "local";

const issuers = v.pipe(
  list,
  v.minLength(1, "must name at least one issuer"),
  v.check(
    (items) => items.every((item) => item === localIssuer || item.split("|").every(isFetchable)),
    'must be https URLs, comma separated, each alone (its keys are discovered) or as issuer|jwks_uri; or "local" for the tokens of countersign token',
  ),
);

/** Who may call, and where people get tokens. */
export const callerEntries = {
  COUNTERSIGN_ISSUERS: v.optional(issuers),
  COUNTERSIGN_ROLES_CLAIM: v.optional(text, "urn:zitadel:iam:org:project:roles"),
  COUNTERSIGN_OAUTH_AUTHORIZE_URL: v.optional(endpoint, "/oauth/v2/authorize"),
  COUNTERSIGN_OAUTH_TOKEN_URL: v.optional(endpoint, "/oauth/v2/token"),
  COUNTERSIGN_OAUTH_SCOPES: v.optional(list, "openid,urn:zitadel:iam:org:project:id:zitadel:aud"),
};

type CallerSettings = v.InferOutput<v.ObjectSchema<typeof callerEntries, undefined>>;

export interface ConfiguredIssuer {
  readonly issuer: string;
  readonly jwksUri?: string;
}

export function toCallerConfig(settings: Partial<CallerSettings>) {
  const named = settings.COUNTERSIGN_ISSUERS ?? [];
  return {
    issuers: named.filter((item) => item !== localIssuer).map(toIssuer),
    trustLocalIssuer: named.includes(localIssuer),
    rolesClaim: settings.COUNTERSIGN_ROLES_CLAIM ?? "",
    oauth: {
      authorizeUrl: settings.COUNTERSIGN_OAUTH_AUTHORIZE_URL ?? "",
      tokenUrl: settings.COUNTERSIGN_OAUTH_TOKEN_URL ?? "",
      scopes: settings.COUNTERSIGN_OAUTH_SCOPES ?? [],
    },
  };
}

function toIssuer(item: string): ConfiguredIssuer {
  const [issuer = "", jwksUri] = item.split("|");
  return jwksUri === undefined ? { issuer } : { issuer, jwksUri };
}
