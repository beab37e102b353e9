import type { NewMail } from "../mail/outbox/claim.ts";

/**
 * How a code comes to the user. `urlTemplate` null: the link leads to the service's own page. `language` undefined: the
 * user's own.
 */
export type CodeDelivery =
  | ({ readonly kind: "send_code" } & Pick<NewMail, "urlTemplate" | "language">)
  | { readonly kind: "return_code" };
