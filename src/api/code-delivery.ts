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

/** How the caller wants the code to be delivered. `field` is the field of the request that says so. */
export type RequestedDelivery =
  | { readonly kind: "send_code"; readonly urlTemplate: UrlTemplate | undefined; readonly field: string }
  | { readonly kind: "return_code"; readonly field: string };

/**
 * Parses a `send_code`.
 *
 * @param variables allowed in its URL template.
 * @throws Refusal REQUEST_INVALID or URL_TEMPLATE_INVALID
 */
export function parseSendCode(
  message: { readonly urlTemplate?: string } | undefined,
  field: string,
  variables: readonly UrlTemplateVariable[],
): RequestedDelivery {
  const urlTemplate = parseTemplate(message?.urlTemplate, `${field}.url_template`, variables);
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

/** Parses the ids of an authenticator and its user. */
export function parseOTPEmailName({ userId, otpEmailId }: { userId: string; otpEmailId: string }) {
  return {
    userId: requireText(userId, "user_id"),
    otpEmailId: requireText(otpEmailId, "otp_email_id"),
  };
}

/**
 * Refuses what would let users prove an address of their own without reading its mail: a code in the reply, vouching for
 * the address, or a link to a host of their choice.
 *
 * @throws Refusal PERMISSION_MISSING
 */
export function forbidBypassingMail(
  requested: RequestedDelivery | { readonly kind: "is_verified"; readonly field: string },
  context: HandlerContext,
  { linkHosts, permission }: { linkHosts: readonly string[]; permission: Permission },
): void {
  if (context.values.get(accessKey) !== "self") return;
  if (requested.kind !== "send_code") {
    throw new Refusal(
      "PERMISSION_MISSING",
      `${requested.field} needs the permission ${permission}: leave it out, and the code is mailed`,
    );
  }
  const { urlTemplate, field } = requested;
  if (urlTemplate && !hostAllowed(urlTemplate, linkHosts)) {
    throw new Refusal(
      "PERMISSION_MISSING",
      `${field}.url_template has a host that needs the permission ${permission}: leave it out, or ask the operator to ` +
        "allow the host",
    );
  }
}

/** Adds the language of the mail, from the Accept-Language header (RFC 9110 §12.5.4). */
export function toDelivery(requested: RequestedDelivery, { requestHeader }: HandlerContext): CodeDelivery {
  if (requested.kind === "return_code") return requested;
  const language = wishedIn(requestHeader.get("Accept-Language"));
  return { kind: "send_code", urlTemplate: requested.urlTemplate?.source ?? null, language };
}
