import type { HandlerContext } from "@connectrpc/connect";
import type { Permission } from "../auth/principal.ts";
import { Refusal } from "../lib/refusal.ts";
import type { CodeDelivery } from "../otp/code-delivery.ts";
import {
  hostAllowed,
  parseUrlTemplate,
  type UrlTemplate,
  type UrlTemplateVariable,
} from "../otp/delivery/url-template.ts";
import { wishedIn } from "../texts/languages.ts";
import { accessKey } from "./call-context.ts";
import { requireText } from "./text-fields.ts";

/** How the caller wants the code to come to the user. `field` is where that was asked for. */
export type RequestedDelivery =
  | { readonly kind: "send_code"; readonly urlTemplate: UrlTemplate | undefined; readonly field: string }
  | { readonly kind: "return_code"; readonly field: string };

/**
 * Reads a `send_code`, whose link may have these variables.
 *
 * @throws INVALID_ARGUMENT
 */
export function parseSendCode(
  asked: { readonly urlTemplate?: string } | undefined,
  field: string,
  variables: readonly UrlTemplateVariable[],
): RequestedDelivery {
  const urlTemplate = parseTemplate(asked?.urlTemplate, `${field}.url_template`, variables);
  return { kind: "send_code", urlTemplate, field };
}

function parseTemplate(
  template: string | undefined,
  field: string,
  variables: readonly UrlTemplateVariable[],
): UrlTemplate | undefined {
  if (template === undefined) return undefined;
  const parsed = parseUrlTemplate(requireText(template, field), variables);
  if (!parsed.ok) throw new Refusal("URL_TEMPLATE_INVALID", parsed.problem, { field });
  return parsed.template;
}

/** The names of an authenticator and its user. */
export function parseOTPEmailName({ userId, otpEmailId }: { userId: string; otpEmailId: string }) {
  return {
    userId: requireText(userId, "user_id"),
    otpEmailId: requireText(otpEmailId, "otp_email_id"),
  };
}

/**
 * The user itself must not come by the code, or past it, without reading the mail: no code in the reply, no word of
 * its own for it, no link that hands the code to a host of its choice.
 *
 * @throws PERMISSION_DENIED
 */
export function forbidBypassingMail(
  asked: RequestedDelivery | { readonly kind: "is_verified"; readonly field: string },
  context: HandlerContext,
  { linkHosts, permission }: { linkHosts: readonly string[]; permission: Permission },
): void {
  if (context.values.get(accessKey) !== "self") return;
  if (asked.kind !== "send_code") {
    throw new Refusal(
      "PERMISSION_MISSING",
      `${asked.field} needs the permission ${permission}: leave it out and the code is mailed`,
    );
  }
  const { urlTemplate, field } = asked;
  if (urlTemplate && !hostAllowed(urlTemplate, linkHosts)) {
    throw new Refusal(
      "PERMISSION_MISSING",
      `${field}.url_template names a host that only a caller with ${permission} may name: leave it out, or ask the ` +
        "operator to allow the host",
    );
  }
}

/** The mail speaks the language that the call asks for (RFC 9110 §12.5.4). */
export function toDelivery(asked: RequestedDelivery, { requestHeader }: HandlerContext): CodeDelivery {
  if (asked.kind === "return_code") return asked;
  const language = wishedIn(requestHeader.get("Accept-Language"));
  return { kind: "send_code", urlTemplate: asked.urlTemplate?.source ?? null, language };
}
