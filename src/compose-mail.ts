import type { OTPEmailRow, OutboxRow } from "./db/schema.ts";
import type { Composed } from "./mail/courier.ts";
import { type NoticeKind, noticeKindOf } from "./mail/outbox.ts";
import { renderNoticeMail } from "./mail/templates/notice.ts";
import { renderVerificationMail } from "./mail/templates/verification.ts";
import type { OTPContext } from "./otp/context.ts";
import { enrolmentCode, liveCode } from "./otp/live-code.ts";
import { parseUrlTemplate } from "./otp/url-template.ts";
import { parseEmailAddress } from "./user/email-address.ts";

/** As whom the service speaks in mails. */
export interface MailIdentity {
  /** The origin of its own links. */
  readonly publicUrl: string;
  readonly serviceName: string;
}

/**
 * Writes a mail at the moment it is handed over: only now is its code derived. A mail whose code is no longer alive is
 * dropped.
 */
export async function composeMail(
  context: OTPContext,
  { publicUrl, serviceName }: MailIdentity,
  mail: OutboxRow,
): Promise<Composed> {
  const row = await context.store.db
    .selectFrom("otp_emails")
    .innerJoin("users", "users.user_id", "otp_emails.user_id")
    .selectAll("otp_emails")
    .select(["users.org_id", "users.state"])
    .where("otp_email_id", "=", mail.otp_email_id)
    .executeTakeFirst();
  const notice = noticeKindOf(mail);
  if (row && notice) return composeNotice(serviceName, mail, notice, row);
  if (row?.state !== "active") return { kind: "drop", reason: "user not active" };

  const alive = liveCode(context, row);
  if (!alive || !Buffer.from(alive.salt).equals(mail.code_salt))
    return { kind: "drop", reason: "code not alive" };

  const code = enrolmentCode(context, row.org_id, row, alive);
  const link =
    mail.url_template === null ? ownLink(publicUrl, row) : renderLink(mail.url_template, row, code);
  return {
    kind: "mail",
    mail: {
      to: mailboxOf(row.address),
      messageId: mail.message_id,
      date: new Date(mail.create_time),
      ...renderVerificationMail({ code, link, ttlMs: context.policy.enrolment.codeTtlMs, serviceName }),
    },
  };
}

/** Whatever the state of the user: whoever is locked out wants to know what happens to the account. */
function composeNotice(serviceName: string, mail: OutboxRow, kind: NoticeKind, row: OTPEmailRow): Composed {
  if (row.verify_time === null) return { kind: "drop", reason: "address not verified" };
  const { create_time: time, client_address: clientAddress } = mail;
  return {
    kind: "mail",
    mail: {
      to: mailboxOf(row.address),
      messageId: mail.message_id,
      date: new Date(time),
      ...renderNoticeMail({ kind, time, clientAddress, serviceName }),
    },
  };
}

function mailboxOf(address: string): string {
  const to = parseEmailAddress(address);
  if (!to.ok) throw new Error("a stored address is no address");
  return to.address.mailbox;
}

type LinkRow = Pick<OTPEmailRow, "user_id" | "otp_email_id"> & { org_id: string };

/** The service's own page. Its link has no code: a link is logged by proxies and kept in histories (ASVS 14.2.1). */
function ownLink(publicUrl: string, row: LinkRow): string {
  return `${publicUrl}/verify?${new URLSearchParams({ user_id: row.user_id, otp_email_id: row.otp_email_id })}`;
}

function renderLink(urlTemplate: string, row: LinkRow, code: string): string {
  const parsed = parseUrlTemplate(urlTemplate);
  if (!parsed.ok) throw new Error("a stored url_template is none");
  const { user_id: UserID, org_id: OrgID, otp_email_id: OTPEmailID } = row;
  return parsed.template.render({ UserID, OrgID, OTPEmailID, Code: code });
}
