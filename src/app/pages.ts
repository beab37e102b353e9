import { errorResponses } from "../api/error-responses.ts";
import type { Prover } from "../auth/prover.ts";
import type { Config } from "../config/config.ts";
import { clientAddressOf, parseTrustedProxies } from "../http/client-address.ts";
import { createCors } from "../http/cors.ts";
import type { NodeHandler } from "../http/server.ts";
import type { Log } from "../lib/log.ts";
import type { Metrics } from "../operation/telemetry/metrics.ts";
import { reportChallenge } from "../otp/challenges/end.ts";
import { claimedPurpose, readMailHandle } from "../otp/codes/mail-handle.ts";
import type { OTPContext } from "../otp/context.ts";
import { recordProviderReport } from "../otp/delivery/bounces.ts";
import type { MailIdentity } from "../otp/delivery/compose-mail.ts";
import { codeOfLink, verifyByLink } from "../otp/delivery/mail-link.ts";
import { createApiReference, type OAuthEndpoints } from "../pages/api-reference.ts";
import { createBounceWebhook } from "../pages/bounce-webhook.ts";
import { jwksPage } from "../pages/jwks-page.ts";
import { createPages, pageAt } from "../pages/pages.ts";
import { createVerifyPage, type MailLinks, type Sender } from "../pages/verify-page.ts";
import { productServices } from "./api.ts";
import type { Mail } from "./mail.ts";

interface PagesParts {
  readonly config: Config;
  readonly log: Log;
  readonly metrics: Metrics | undefined;
  readonly otp: OTPContext;
  readonly prover: Prover;
  readonly publicUrl: string;
  readonly mail: Mail;
  readonly identity: MailIdentity;
  readonly isReady: () => Promise<boolean>;
}

/** Serves the pages, and passes all other requests on to `api`. */
export function createAppPages(parts: PagesParts, api: NodeHandler): NodeHandler {
  const { config, log, metrics, otp, prover, publicUrl, mail, identity, isReady } = parts;
  const verifyPage = createVerifyPage({
    links: mailLinksOf(config, otp),
    origin: new URL(publicUrl).origin,
    serviceName: identity.serviceName,
    defaultLanguage: config.defaultLanguage,
    isNumeric: config.policy.enrolment.format.alphabet === "digits",
    onError: (err) => log.error({ err }, "the page of a mail's link failed"),
  });
  const reference = createApiReference({
    services: productServices,
    publicUrl,
    oauth: oauthOf(config, publicUrl),
    errors: errorResponses,
  });
  const pages = createPages({
    ready: isReady,
    extra: new Map([
      ["/verify", verifyPage],
      // The path in mails of older versions.
      ["/not-me", verifyPage],
      ...bounceWebhookOf(config, otp, log),
      ...(metrics ? [["/metrics", metrics.page] as const] : []),
      ...reference.pages,
      ...mail.mailboxPages,
    ]),
  });
  const crossOriginPages = new Map([...reference.public, ["/.well-known/jwks.json", jwksPage(prover.jwks)]]);
  const cors = createCors({ allowedOrigins: config.allowedOrigins });
  return (request, response) => {
    // Before CORS, because other origins must not read these pages, in particular the development mailbox.
    if (pages(request, response) || cors(request, response)) return;
    (pageAt(crossOriginPages, request) ?? api)(request, response);
  };
}

/** What the links in mails do. A handle that was not created by this service is ignored without a look-up. */
function mailLinksOf({ trustedProxies }: Config, otp: OTPContext): MailLinks {
  const proxies = parseTrustedProxies(trustedProxies);
  const addressOf = ({ peer, forwardedFor }: Sender) => clientAddressOf(peer, forwardedFor, proxies);
  return {
    purposeOf: claimedPurpose,
    async codeOf(text) {
      const handle = readMailHandle(otp.keys, text);
      return handle && codeOfLink(otp, handle);
    },
    async verify(text, typed, from) {
      const handle = readMailHandle(otp.keys, text);
      return handle ? verifyByLink(otp, handle, { typed, clientAddress: addressOf(from) }) : false;
    },
    async report(text, from) {
      const handle = readMailHandle(otp.keys, text);
      if (handle?.purpose === "login") await reportChallenge(otp, handle.challengeId, addressOf(from));
    },
  };
}

/** Without a secret there is no webhook. */
function bounceWebhookOf(
  { bounceWebhookSecret: secret }: Config,
  otp: OTPContext,
  log: Log,
): [string, NodeHandler][] {
  if (!secret) return [];
  const webhook = createBounceWebhook({
    secret,
    now: () => otp.clock.now(),
    record: (webhookId, { type, messageId, status }) =>
      recordProviderReport(
        otp,
        webhookId,
        messageId,
        type === "bounce" ? { kind: "failed", status } : { kind: type },
      ),
    onError: (err) => log.error({ err }, "a bounce report cannot be recorded"),
  });
  return [["/webhooks/bounces", webhook]];
}

/** By default, the endpoints of the first issuer. */
function oauthOf({ oauth, issuers }: Config, publicUrl: string): OAuthEndpoints {
  const base = new URL(issuers[0]?.issuer ?? publicUrl).origin;
  return {
    authorizeUrl: new URL(oauth.authorizeUrl, base).href,
    tokenUrl: new URL(oauth.tokenUrl, base).href,
    scopes: oauth.scopes,
  };
}
