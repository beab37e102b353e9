import type { OutboxRow } from "./db/schema.ts";
import type { Composed } from "./mail/courier.ts";
import { renderVerificationMail } from "./mail/templates/verification.ts";
import type { OTPContext } from "./otp/context.ts";
import { enrolmentCode, liveCode } from "./otp/live-code.ts";
import { parseUrlTemplate } from "./otp/url-template.ts";
import { parseEmailAddress } from "./user/email-address.ts";

/**
 * Writes a mail at the moment it is handed over: only now is its code derived. A mail whose code is no longer alive is
 * dropped.
 */
export async function composeMail(
  context: OTPContext,
  publicUrl: string,
  mail: OutboxRow,
): Promise<Composed> {
  const row = await context.store.db
    .selectFrom("otp_emails")
    .innerJoin("users", "users.user_id", "otp_emails.user_id")
    .selectAll("otp_emails")
    .select(["users.org_id", "users.state"])
    .where("otp_email_id", "=", mail.otp_email_id)
    .executeTakeFirst();
  if (!row || row.state !== "active") return { kind: "drop", reason: "user not active" };

  const alive = liveCode(context, row);
  if (!alive || !Buffer.from(alive.salt).equals(mail.code_salt))
    return { kind: "drop", reason: "code not alive" };

  const to = parseEmailAddress(row.address);
  if (!to.ok) throw new Error("a stored address is no address");
  const code = enrolmentCode(context, row.org_id, row, alive);
  const link = renderLink(mail.url_template ?? `${publicUrl}${defaultPath}`, {
    Code: code,
    UserID: row.user_id,
    OrgID: row.org_id,
    OTPEmailID: row.otp_email_id,
  });
  return {
    kind: "mail",
    mail: {
      to: to.address.mailbox,
      messageId: mail.message_id,
      date: new Date(mail.create_time),
      ...renderVerificationMail({ code, link, ttlMs: context.policy.enrolment.codeTtlMs }),
    },
  };
}

/** The service's own page. Its link has no code: a link is logged by proxies and kept in histories (ASVS 14.2.1). */
const defaultPath = "/verify?user_id={{.UserID}}&otp_email_id={{.OTPEmailID}}";

function renderLink(template: string, values: Parameters<typeof render>[1]): string {
  return render(template, values);
}

function render(
  template: string,
  values: { Code: string; UserID: string; OrgID: string; OTPEmailID: string },
) {
  const parsed = parseUrlTemplate(template);
  if (!parsed.ok) throw new Error("a stored url_template is none");
  return parsed.template.render(values);
}
