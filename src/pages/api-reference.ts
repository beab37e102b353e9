import type { DescService, JsonObject } from "@bufbuild/protobuf";
import { comments } from "../../gen/comments.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import {
  alreadyExists,
  failedPrecondition,
  internal,
  invalidArgument,
  notFound,
  permissionDenied,
  resourceExhausted,
  unauthenticated,
  unavailable,
} from "../lib/errors.ts";
import { createOpenApi, type ErrorResponse, type SecurityScheme } from "../wire/openapi/openapi.ts";
import { serveContent } from "./content.ts";
import { docsPages } from "./docs-page.ts";
import type { Page } from "./pages.ts";

export interface ApiReferenceOptions {
  readonly services: readonly DescService[];
  readonly publicUrl: string;
  readonly oauth: OAuthEndpoints;
}

/** Where the reference page gets tokens (RFC 6749 §3). */
export interface OAuthEndpoints {
  readonly authorizeUrl: string;
  readonly tokenUrl: string;
  readonly scopes: readonly string[];
}

/** `/openapi.json`, and `/docs` to read it. Both are public: they hold nothing of a user or an organization. */
export function apiReferencePages(options: ApiReferenceOptions): Page[] {
  const json = Buffer.from(JSON.stringify(describeApi(options)));
  const headers = { "content-type": "application/json", "cache-control": "no-cache" };
  const { publicUrl, oauth } = options;
  return [
    {
      path: "/openapi.json",
      handler: serveContent({ read: async () => json, headers }),
      isCrossOrigin: true,
    },
    ...docsPages({
      document: "/openapi.json",
      connectTo: [...new Set([publicUrl, oauth.tokenUrl].map((url) => new URL(url).origin))],
      scopes: oauth.scopes,
    }),
  ];
}

function describeApi({ services, publicUrl, oauth }: ApiReferenceOptions): JsonObject {
  return createOpenApi({
    services,
    comments,
    info: {
      title: "Countersign",
      version: "v3alpha",
      description:
        "Email one-time-password (OTP) authenticators for other people's users, over gRPC, gRPC-Web, Connect and " +
        "REST/JSON from one proto file.\n\nEvery error is a `google.rpc.Status` with an `ErrorInfo`: branch on its " +
        "`reason`. Ignore unknown members of replies: later versions may add some.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    serverUrl: publicUrl,
    security: securitySchemes(oauth),
    errors: errorResponses,
    errorDetails: [ErrorInfoSchema, BadRequestSchema, RetryInfoSchema],
    rpcTypes: ["application/grpc", "application/grpc-web+proto"],
  });
}

function securitySchemes({ authorizeUrl, tokenUrl, scopes }: OAuthEndpoints): SecurityScheme[] {
  return [
    {
      name: "oauth2",
      scopes,
      scheme: {
        type: "oauth2",
        description:
          "An access token from the authorization server (authorization code flow, RFC 6749 §4.1).",
        flows: {
          authorizationCode: {
            authorizationUrl: authorizeUrl,
            tokenUrl,
            scopes: Object.fromEntries(scopes.map((scope) => [scope, scopeTexts[scope] ?? ""])),
          },
        },
      },
    },
    {
      name: "bearer",
      scopes: [],
      scheme: {
        type: "http",
        scheme: "bearer",
        bearerFormat: "JWT",
        description: "A JWT access token (RFC 9068) in the `Authorization` header.",
      },
    },
  ];
}

const scopeTexts: Readonly<Record<string, string>> = {
  openid: "Identifies the user (OpenID Connect).",
  "urn:zitadel:iam:org:project:id:zitadel:aud": "Adds this API to the audience of the token.",
};

/** The errors of every call, by HTTP status. */
const errorResponses: Readonly<Record<string, ErrorResponse>> = {
  "400": {
    description:
      "The request is invalid, the code is wrong, or the state of the user does not allow the call.",
    examples: [
      invalidArgument("REQUEST_INVALID", "user_id", "user_id is missing: give 1 to 200 characters"),
      invalidArgument(
        "EMAIL_INVALID",
        "email.address",
        "the domain must have at least one dot: give a full domain such as mouse.com",
      ),
      failedPrecondition("USER_NOT_ACTIVE", "the user is locked: unlock it first"),
      invalidArgument("CODE_INVALID", "code", "this is not the code of the mail: check it and try again"),
      failedPrecondition("CODE_EXPIRED", "the code is no longer valid: add the address again for a new one"),
    ],
  },
  "401": {
    description: "The access token is missing or invalid.",
    headers: {
      "WWW-Authenticate": {
        required: true,
        description: "How to authenticate (RFC 6750 §3).",
        schema: { type: "string" },
        example: 'Bearer realm="countersign", error="invalid_token"',
      },
    },
    examples: [
      unauthenticated("TOKEN_MISSING", "send an access token: Authorization: Bearer <token>"),
      unauthenticated("TOKEN_EXPIRED", "the access token has expired: get a new one"),
    ],
  },
  "403": {
    description: "The caller has no permission. The reply does not depend on whether the user exists.",
    examples: [
      permissionDenied(
        "the token does not allow this: it needs the permission user.write in the organization, or the user_id as its subject",
      ),
    ],
  },
  "404": {
    description: "No organization of the caller has this user or authenticator.",
    examples: [
      notFound("USER_NOT_FOUND", "there is no such user: create it first, or check the user_id"),
      notFound("OTP_EMAIL_NOT_FOUND", "the user has no such authenticator: check the otp_email_id"),
    ],
  },
  "409": {
    description: "The resource exists already.",
    examples: [
      alreadyExists(
        "USER_ALREADY_EXISTS",
        "the user_id is taken: choose another, or leave it out and one is made",
      ),
      alreadyExists(
        "OTP_EMAIL_ALREADY_EXISTS",
        "the user has this address already, and it is verified: there is nothing to add",
      ),
    ],
  },
  "429": {
    description: "Too many wrong codes or requests: retry later.",
    headers: {
      "Retry-After": {
        description: "Seconds until the call is accepted again.",
        schema: { type: "integer", minimum: 1 },
        example: 300,
      },
    },
    examples: [
      resourceExhausted(
        "ATTEMPTS_EXHAUSTED",
        "too many wrong codes: the authenticator is locked for a while. Wait, then ask for a new code",
        300_000,
      ),
    ],
  },
  default: {
    description: "Any other error, with the HTTP status of its code (google/rpc/code.proto).",
    examples: [
      internal("7f0c3c1e-93a5-4f0e-8f6b-3f1f2f0f9d11", undefined),
      unavailable("STORAGE_UNAVAILABLE", "the service cannot reach its storage: try again", 1_000),
    ],
  },
};
