import type { NodemailerError } from "nodemailer";
import type { SendResult } from "../mailer.ts";

/**
 * Converts an error of nodemailer to a result.
 *
 * The reason consists of reply code, enhanced status code (RFC 3463) and phase of the dialogue, or is one word. The rest of
 * the reply is left out, because it may quote the mail with its code.
 *
 * @param isComplete whether the whole message was written. Without a reply, the relay may then have accepted it.
 */
export function toFailure(error: unknown, isComplete: boolean): Exclude<SendResult, { kind: "sent" }> {
  const failure: Partial<SmtpError> = error instanceof Error ? error : {};
  const phase = phaseOf(failure);
  if (phase === "tls") return { kind: "retry", reason: "tls" };
  if (failure.responseCode === undefined) {
    const reason = causeOf(failure);
    return isComplete ? { kind: "retry", reason, mayHaveArrived: true } : { kind: "retry", reason };
  }
  const reason = [failure.responseCode, enhancedStatus(failure), phase].filter(Boolean).join(" ");
  if (isAboutMail(failure, phase)) {
    return phase === "mail" ? { kind: "reject", about: "sender", reason } : { kind: "reject", reason };
  }
  return isAboutRecipient(failure, phase)
    ? { kind: "retry", about: "mail", reason }
    : { kind: "retry", reason };
}

type SmtpError = NodemailerError & { originalCode?: string };

type Phase = "greeting" | "tls" | "auth" | "mail" | "rcpt" | "data";

const phases: Readonly<Record<string, Phase>> = {
  EHLO: "greeting",
  HELO: "greeting",
  STARTTLS: "tls",
  "MAIL FROM": "mail",
  "RCPT TO": "rcpt",
  DATA: "data",
};

function phaseOf({ code, command }: Partial<SmtpError>): Phase | undefined {
  if (code === "ETLS") return "tls";
  if (code === "EPROTOCOL" && command === "CONN") return "greeting";
  if (command?.startsWith("AUTH")) return "auth";
  return phases[command ?? ""];
}

/**
 * Reports whether the relay rejected this mail or its sender permanently (RFC 5321 §4.2.1: 5yz). Replies before MAIL FROM,
 * and those that ask for authentication (RFC 4954 §6), are about the client instead. nodemailer doesn't count 503, which is
 * about the state of the connection, as permanent.
 */
function isAboutMail({ responseCode, permanent }: Partial<SmtpError>, phase: Phase | undefined): boolean {
  if (phase !== "mail" && phase !== "rcpt" && phase !== "data") return false;
  return permanent === true && ![530, 534, 535, 538].includes(responseCode ?? 0);
}

/** Greylisting or a full mailbox, which doesn't affect other recipients. 421 closes the connection for all. */
function isAboutRecipient({ responseCode }: Partial<SmtpError>, phase: Phase | undefined): boolean {
  return phase === "rcpt" && [450, 451, 452].includes(responseCode ?? 0);
}

function enhancedStatus({ response }: Partial<SmtpError>): string | undefined {
  return /^\d{3}[ -]([245]\.\d{1,3}\.\d{1,3})(?!\S)/.exec(response ?? "")?.[1];
}

function causeOf(failure: Partial<SmtpError>): string {
  const code = failure.originalCode ?? failure.code ?? "";
  if (code === "EABORT") return "aborted";
  if (code === "ETIMEDOUT") return "timeout";
  if (code === "EDNS" || code === "ENOTFOUND" || code.startsWith("EAI_")) return "dns";
  // Codes of OpenSSL and of certificate checks.
  if (/^(ERR_SSL|ERR_TLS|CERT_|CRL_|DEPTH_|SELF_SIGNED|UNABLE_TO|INVALID_|HOSTNAME_|EPROTO$)/.test(code))
    return "tls";
  if (failure.code === "EAUTH") return "auth";
  return "connection";
}
