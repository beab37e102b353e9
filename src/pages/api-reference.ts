import type { DescService, JsonObject } from "@bufbuild/protobuf";
import { comments } from "../../gen/comments.ts";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { createOpenApi, type ErrorResponse, type SecurityScheme } from "../wire/openapi/openapi.ts";
import { serveContent } from "./content.ts";
import { docsPages } from "./docs-page.ts";
import type { Page } from "./pages.ts";

export interface ApiReferenceOptions {
  readonly services: readonly DescService[];
  readonly publicUrl: string;
  readonly oauth: OAuthEndpoints;
  /** What can go wrong with every call, by HTTP status. */
  readonly errors: Readonly<Record<string, ErrorResponse>>;
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

function describeApi({ services, publicUrl, oauth, errors }: ApiReferenceOptions): JsonObject {
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
    errors,
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
