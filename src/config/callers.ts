import * as v from "valibot";
import type { Settings, Values } from "./setting.ts";
import { endpoint, isDistinct, isHttpsOrLoopback, list, text } from "./values.ts";

/** The name of the issuer whose tokens `countersign token` prints. */
const localIssuer = "local";

/** An issuer whose access tokens are accepted. Without `jwksUri` its keys are discovered. */
export interface ConfiguredIssuer {
  readonly issuer: string;
  readonly jwksUri?: string;
}

const issuers = v.pipe(
  list,
  v.minLength(1, "must name at least one issuer"),
  v.check(
    (items) => items.every((item) => item === localIssuer || item.split("|").every(isHttpsOrLoopback)),
    'must be https URLs, comma separated, each alone (its keys are discovered) or as issuer|jwks_uri; or "local" for the tokens of countersign token',
  ),
  v.transform((items) => items.map(toIssuer)),
  v.check((parsed) => isDistinct(parsed.map(({ issuer }) => issuer)), "must not name an issuer twice"),
);

function toIssuer(item: string): ConfiguredIssuer {
  const [issuer = "", jwksUri] = item.split("|");
  return jwksUri === undefined ? { issuer } : { issuer, jwksUri };
}

export const callerSettings = {
  COUNTERSIGN_ISSUERS: {
    check: issuers,
    devDefault: localIssuer,
    isNeeded: true,
    help:
      "Issuers whose access tokens are accepted, comma separated: an https URL (its keys are discovered), " +
      "`URL|JWKS_URL`, or `local` for the tokens of `countersign token`",
  },
  COUNTERSIGN_AUDIENCE: {
    check: text,
    devDefault: "countersign",
    isNeeded: true,
    help: "Audience (`aud` claim) that access tokens must have",
  },
  COUNTERSIGN_ROLES_CLAIM: {
    check: text,
    default: "urn:zitadel:iam:org:project:roles",
    help: "Claim that holds the permissions by organization: `{permission: {org: …}}`",
  },
  COUNTERSIGN_OAUTH_AUTHORIZE_URL: {
    check: endpoint,
    default: "/oauth/v2/authorize",
    help: "Authorization endpoint, for signing in at `/docs` only: a URL, or a path at the first issuer",
  },
  COUNTERSIGN_OAUTH_TOKEN_URL: {
    check: endpoint,
    default: "/oauth/v2/token",
    help: "Token endpoint, for signing in at `/docs` only: a URL, or a path at the first issuer",
  },
  COUNTERSIGN_OAUTH_SCOPES: {
    check: list,
    default: "openid,urn:zitadel:iam:org:project:id:zitadel:aud",
    help: "Scopes to request when signing in at `/docs`, comma separated",
  },
} satisfies Settings;

export function toCallerConfig(values: Values<typeof callerSettings>) {
  const named = values.COUNTERSIGN_ISSUERS;
  return {
    issuers: named.filter(({ issuer }) => issuer !== localIssuer),
    trustLocalIssuer: named.some(({ issuer }) => issuer === localIssuer),
    audience: values.COUNTERSIGN_AUDIENCE,
    rolesClaim: values.COUNTERSIGN_ROLES_CLAIM,
    oauth: {
      authorizeUrl: values.COUNTERSIGN_OAUTH_AUTHORIZE_URL,
      tokenUrl: values.COUNTERSIGN_OAUTH_TOKEN_URL,
      scopes: values.COUNTERSIGN_OAUTH_SCOPES,
    },
  };
}
