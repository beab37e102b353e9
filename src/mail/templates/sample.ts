import type { Language } from "../../texts/languages.ts";
import { renderLoginMail } from "./login.ts";
import type { MailTemplates } from "./mail-templates.ts";
import { renderNoticeMail } from "./notice.ts";
import type { RenderedMail } from "./render.ts";
import { renderVerificationMail } from "./verification.ts";

/** One sample for each kind of mail. */
export const samples = [
  "verification",
  "login",
  "notice-added",
  "notice-verified",
  "notice-removed",
] as const;

export type Sample = (typeof samples)[number];

export interface SampleOptions {
  readonly templates: MailTemplates;
  readonly language: Language;
  readonly orgId: string;
  readonly serviceName: string;
  /** Origin of the links. */
  readonly publicUrl: string;
  readonly codeInSubject: boolean;
}

/** Renders a mail as it would be sent, with a fake code. */
export function renderSample(sample: Sample, options: SampleOptions): RenderedMail {
  const { templates, language, orgId, serviceName, publicUrl, codeInSubject } = options;
  const link = `${publicUrl}/verify?user_id=sample&otp_email_id=163840776835432705`;
  switch (sample) {
    case "verification": {
      const template = templates("verification", language, orgId);
      const [code, ttlMs] = ["7QZ4M2KX", 600_000];
      return renderVerificationMail({ template, code, link, ttlMs, serviceName, codeInSubject });
    }
    case "login": {
      const template = templates("login", language, orgId);
      const [code, ttlMs, reportLink] = ["493817", 300_000, `${publicUrl}/not-me?challenge=sample`];
      return renderLoginMail({ template, code, link, reportLink, ttlMs, serviceName, codeInSubject });
    }
    case "notice-added":
      return renderSampleNotice("added", options);
    case "notice-verified":
      return renderSampleNotice("verified", options);
    case "notice-removed":
      return renderSampleNotice("removed", options);
  }
}

function renderSampleNotice(
  kind: "added" | "verified" | "removed",
  { templates, language, orgId, serviceName }: SampleOptions,
): RenderedMail {
  const template = templates("notice", language, orgId);
  const time = Date.UTC(2026, 10, 23, 9, 30);
  return renderNoticeMail({ template, kind, time, clientAddress: "192.0.2.7", serviceName });
}
