import type { NodemailerError } from "nodemailer";
import type { SendResult } from "../mailer.ts";

/**
 * Judges an error of nodemailer: whether the mail is worth another attempt, and why it failed.
 *
 * The reason has the reply code, the enhanced status code (RFC 3463) and the phase of the dialogue, or one word. What
 * else the relay says may quote the mail, with its code.
 *
 * @param isComplete whether the whole message was written: without a reply nobody knows then whether the relay has it.
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
 * Whether the relay has refused this mail, or its sender, for good (RFC 5321 §4.2.1: 5yz). Until MAIL FROM, and when it asks for
 * authentication (RFC 4954 §6), it refuses us and not the mail; 503 is about the state of the connection.
 */
function isAboutMail({ responseCode, permanent }: Partial<SmtpError>, phase: Phase | undefined): boolean {
  if (phase !== "mail" && phase !== "rcpt" && phase !== "data") return false;
  return permanent === true && ![530, 534, 535, 538].includes(responseCode ?? 0);
}

/** Greylisting or a full mailbox: other recipients may pass. 421 ends the connection, whoever the recipient is. */
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
  // What OpenSSL and the check of the certificate report has no name of a system call, and these names.
  if (/^(ERR_SSL|ERR_TLS|CERT_|CRL_|DEPTH_|SELF_SIGNED|UNABLE_TO|INVALID_|HOSTNAME_|EPROTO$)/.test(code))
    return "tls";
  if (failure.code === "EAUTH") return "auth";
  return "connection";
}
