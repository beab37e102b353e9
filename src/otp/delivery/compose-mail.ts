import type { OutboxRow } from "../../db/core/schema.ts";
import { parseEmailAddress } from "../../lib/email-address.ts";
import type { Composed } from "../../mail/courier/courier.ts";
import { type NoticeKind, noticeKindOf } from "../../mail/outbox/enqueue.ts";
import { renderLoginMail } from "../../mail/templates/login.ts";
import type { MailTemplate, MailTemplates, Purpose } from "../../mail/templates/mail-templates.ts";
import { renderNoticeMail } from "../../mail/templates/notice.ts";
import type { RenderedMail } from "../../mail/templates/render.ts";
import { renderVerificationMail } from "../../mail/templates/verification.ts";
import { chooseLanguage, type Language } from "../../texts/languages.ts";
import { liveLoginCode, loginCode, pendingChallenge } from "../challenges/live-challenge.ts";
import type { KeyRing } from "../codes/keys.ts";
import { type LiveCode, saltOf } from "../codes/live-code.ts";
import { type MailHandle, makeMailHandle } from "../codes/mail-handle.ts";
import { makeReturnPath } from "../codes/return-path.ts";
import type { OTPContext } from "../context.ts";
import { enrolmentCode, liveCode } from "../enrolment/live-code.ts";
import { findRecipient, type Recipient } from "./recipient.ts";
import { addressSuppressed, isSuppressed } from "./suppressions.ts";
import {
  loginUrlTemplateVariables,
  parseUrlTemplate,
  type UrlTemplateVariable,
  urlTemplateVariables,
} from "./url-template.ts";

/** How the service presents itself in mails. */
export interface MailIdentity {
  /** Origin of links to the service. */
  readonly publicUrl: string;
  readonly serviceName: string;
  readonly templates: MailTemplates;
  readonly defaultLanguage: Language;
  /** Put the code into the subject. */
  readonly codeInSubject: boolean;
  /** Base of the return paths, which differ by mail. Undefined: bounces go to the sender. */
  readonly bounceAddress?: string | undefined;
}

/**
 * Composes a mail right before it is sent, because the code is derived and not stored. Drops it if its code is no longer
 * alive or its address is suppressed.
 */
export async function composeMail(
  context: OTPContext,
  identity: MailIdentity,
  mail: OutboxRow,
): Promise<Composed> {
  const composed = await composeContent(context, identity, mail);
  if (composed.kind === "drop" || identity.bounceAddress === undefined) return composed;
  const envelopeFrom = makeReturnPath(context.keys, identity.bounceAddress, mail.mail_id);
  return { kind: "mail", mail: { ...composed.mail, envelopeFrom } };
}

async function composeContent(
  context: OTPContext,
  identity: MailIdentity,
  mail: OutboxRow,
): Promise<Composed> {
  const row = await findRecipient(context.store.db, mail.otp_email_id);
  if (row && (await isSuppressed(context, row))) return { kind: "drop", reason: addressSuppressed };
  const notice = noticeKindOf(mail);
  if (row && notice) return composeNotice(identity, mail, notice, row);
  if (row?.state !== "active") return { kind: "drop", reason: "user not active" };

  const rendered = await renderCode(context, identity, mail, row);
  if (!rendered) return { kind: "drop", reason: "code not alive" };
  const { message_id: messageId } = mail;
  const date = new Date(mail.create_time);
  const { org_id: orgId, address } = row;
  return { kind: "mail", mail: { orgId, to: mailboxOf(address), messageId, date, ...rendered } };
}

/** Returns undefined if the code of the mail is no longer alive. */
function renderCode(context: OTPContext, identity: MailIdentity, mail: OutboxRow, row: Recipient) {
  if (mail.purpose === "login") return renderLogin(context, identity, mail, row);
  if (mail.purpose === "enrolment") return renderVerification(context, identity, mail, row);
  throw new Error("a stored mail has an unknown purpose");
}

function renderVerification(
  context: OTPContext,
  identity: MailIdentity,
  mail: OutboxRow,
  row: Recipient,
): RenderedMail | undefined {
  const alive = liveCode(context, row);
  if (!alive || !isAbout(mail, alive)) return undefined;
  const code = enrolmentCode(context, row.org_id, row, alive);
  const { url_template: urlTemplate } = mail;
  const link =
    urlTemplate === null
      ? ownLink(identity.publicUrl, context.keys, {
          purpose: "enrolment",
          otpEmailId: row.otp_email_id,
          codeSalt: saltOf(alive),
        })
      : parseStored(urlTemplate, urlTemplateVariables).render({ ...variablesOf(row), Code: code });
  const template = templateFor(identity, "verification", mail, row);
  const { serviceName, codeInSubject } = identity;
  const { codeTtlMs: ttlMs } = context.policy.enrolment;
  return renderVerificationMail({ template, code, link, ttlMs, serviceName, codeInSubject });
}

/** Returns undefined if the challenge of the mail has ended, or its authenticator is locked. */
async function renderLogin(
  context: OTPContext,
  identity: MailIdentity,
  mail: OutboxRow,
  row: Recipient,
): Promise<RenderedMail | undefined> {
  if (row.locked_until !== null && row.locked_until > context.clock.now()) return undefined;
  const challenge = await pendingChallenge(context.store.db, row.otp_email_id);
  const alive = challenge && liveLoginCode(context, challenge);
  if (!alive || !isAbout(mail, alive)) return undefined;
  const { challenge_id: challengeId } = challenge;
  const code = loginCode(context, row.org_id, row, challengeId, alive);
  const reportLink = ownLink(identity.publicUrl, context.keys, { purpose: "login", challengeId });
  const { url_template: urlTemplate } = mail;
  const link =
    urlTemplate === null
      ? reportLink
      : parseStored(urlTemplate, loginUrlTemplateVariables).render({
          ...variablesOf(row),
          Code: code,
          ChallengeID: challengeId,
          DisplayName: row.display_name ?? "",
          PreferredLanguage: row.preferred_language ?? "",
        });
  const template = templateFor(identity, "login", mail, row);
  const { serviceName, codeInSubject } = identity;
  const { codeTtlMs: ttlMs } = context.policy.login;
  return renderLoginMail({ template, code, link, reportLink, ttlMs, serviceName, codeInSubject });
}

function isAbout(mail: OutboxRow, { salt }: LiveCode): boolean {
  return Buffer.from(salt).equals(mail.code_salt);
}

/** Sent in every state of the user: locked users, too, want to know about changes to their account. */
function composeNotice(identity: MailIdentity, mail: OutboxRow, kind: NoticeKind, row: Recipient): Composed {
  if (row.verify_time === null) return { kind: "drop", reason: "address not verified" };
  const { create_time: time, client_address: clientAddress } = mail;
  const template = templateFor(identity, "notice", mail, row);
  return {
    kind: "mail",
    mail: {
      orgId: row.org_id,
      to: mailboxOf(row.address),
      messageId: mail.message_id,
      date: new Date(time),
      ...renderNoticeMail({ template, kind, time, clientAddress, serviceName: identity.serviceName }),
    },
  };
}

/** Chooses the requested language, or else the user's own. */
function templateFor(
  { templates, defaultLanguage }: MailIdentity,
  purpose: Purpose,
  mail: OutboxRow,
  row: Recipient,
): MailTemplate {
  const language = chooseLanguage([mail.language, row.preferred_language], defaultLanguage);
  return templates(purpose, language, row.org_id);
}

function mailboxOf(address: string): string {
  // SMTPUTF8 support is checked when an address is added, and by the mailer.
  const to = parseEmailAddress(address, { utf8: true });
  if (!to.ok) throw new Error("a stored address is not valid");
  return to.address.mailbox;
}

/**
 * Links to the service's own page. Contains no code, user or address, because proxies log links and browsers keep them
 * (ASVS 14.2.1).
 */
function ownLink(publicUrl: string, keys: KeyRing, handle: MailHandle): string {
  return `${publicUrl}/verify?h=${makeMailHandle(keys, handle)}`;
}

function parseStored<V extends UrlTemplateVariable>(urlTemplate: string, variables: readonly V[]) {
  const parsed = parseUrlTemplate(urlTemplate, variables);
  if (!parsed.ok) throw new Error("a stored url_template is not valid");
  return parsed.template;
}

function variablesOf({ user_id: UserID, org_id: OrgID, otp_email_id: OTPEmailID }: Recipient) {
  return { UserID, OrgID, OTPEmailID };
}
