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
import { recordProviderFeedback } from "../otp/delivery/bounces.ts";
import type { MailIdentity } from "../otp/delivery/compose-mail.ts";
import { codeOfLink, verifyByLink } from "../otp/delivery/mail-link.ts";
import { apiReferencePages, type OAuthEndpoints } from "../pages/api-reference.ts";
import { bounceWebhook } from "../pages/bounce-webhook.ts";
import { healthPages } from "../pages/health-pages.ts";
import { jwksPage } from "../pages/jwks-page.ts";
import { metricsPage } from "../pages/metrics-page.ts";
import { createPages, type Page } from "../pages/pages.ts";
import { type FormClient, type MailLinks, verifyPages } from "../pages/verify-page.ts";
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
  const pages = [
    ...healthPages({ ready: isReady, clock: otp.clock }),
    ...verifyPages({
      links: mailLinksOf(config, otp),
      origin: new URL(publicUrl).origin,
      serviceName: identity.serviceName,
      defaultLanguage: config.defaultLanguage,
      isNumeric: config.policy.enrolment.format.alphabet === "digits",
      clock: otp.clock,
      onError: (err) => log.error({ err }, "the page of a mail's link failed"),
    }),
    ...bounceWebhookOf(config, otp, log),
    ...(metrics ? [metricsPage(metrics)] : []),
    ...apiReferencePages({
      services: productServices,
      publicUrl,
      oauth: oauthOf(config, publicUrl),
      errors: errorResponses,
    }),
    jwksPage(prover.jwks),
    ...mail.mailboxPages,
  ];
  return createPages({ pages, cors: createCors({ allowedOrigins: config.allowedOrigins }), next: api });
}

/** What the links in mails do. A handle that was not created by this service is ignored without a look-up. */
function mailLinksOf({ trustedProxies }: Config, otp: OTPContext): MailLinks {
  const proxies = parseTrustedProxies(trustedProxies);
  const addressOf = ({ peer, forwardedFor }: FormClient) => clientAddressOf(peer, forwardedFor, proxies);
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
    async reportLogin(text, from) {
      const handle = readMailHandle(otp.keys, text);
      if (handle?.purpose === "login") await reportChallenge(otp, handle.challengeId, addressOf(from));
    },
  };
}

/** The webhook is not served without a secret. */
function bounceWebhookOf({ bounceWebhookSecret: secret }: Config, otp: OTPContext, log: Log): Page[] {
  if (!secret) return [];
  return [
    bounceWebhook({
      secret,
      now: () => otp.clock.now(),
      record: (webhookId, { type, messageId, status }) =>
        recordProviderFeedback(
          otp,
          webhookId,
          messageId,
          type === "bounce" ? { kind: "failed", status } : { kind: type },
        ),
      onError: (err) => log.error({ err }, "the report of a bounce cannot be recorded"),
    }),
  ];
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
