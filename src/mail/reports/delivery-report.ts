import { type Attachment, type ParsedMail, simpleParser } from "mailparser";

/** Content of a delivery status notification (RFC 3464), with references to the mail that it is about. */
export interface DeliveryReport {
  /** `failed`: the mail will not be delivered. `delayed`: it may still be. */
  readonly kind: "failed" | "delayed";
  /** An enhanced status code (RFC 3463), such as 5.1.1 */
  readonly status: string;
  /** Recipients of the notification. Untrusted. */
  readonly recipients: readonly string[];
  /** Message-IDs of the returned mail, with their angle brackets. Untrusted. */
  readonly messageIds: readonly string[];
}

/** Headers in which servers record the address that a message was delivered to, most exact first. */
const recipientHeaders = ["delivered-to", "x-original-to", "envelope-to", "to"];

const statusTypes = ["message/delivery-status", "message/global-delivery-status"];
const returnedTypes = ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"];

/**
 * Parses a delivery status notification.
 *
 * @param message complete or truncated. Its content never causes an error.
 * @returns undefined if it is not a notification, or reports neither a failure nor a delay.
 */
export async function readDeliveryReport(message: Buffer): Promise<DeliveryReport | undefined> {
  let mail: ParsedMail;
  try {
    mail = await simpleParser(message, {
      keepDeliveryStatus: true,
      skipHtmlToText: true,
      skipTextToHtml: true,
      skipImageLinks: true,
      skipTextLinks: true,
    });
  } catch {
    return undefined;
  }
  if (!isReport(mail)) return undefined;
  const status = mail.attachments.find(({ contentType }) => statusTypes.includes(contentType));
  const worst = status && worstOf(textOf(status));
  if (!worst) return undefined;
  return { ...worst, recipients: recipientsOf(mail), messageIds: messageIdsOf(mail) };
}

/** RFC 3464 §2. A notification that is forwarded as an attachment doesn't count. */
function isReport({ headers }: ParsedMail): boolean {
  const type = headers.get("content-type");
  if (typeof type !== "object" || !("params" in type) || typeof type.value !== "string") return false;
  return (
    type.value.toLowerCase() === "multipart/report" &&
    new Map(Object.entries(type.params)).get("report-type")?.toLowerCase() === "delivery-status"
  );
}

type Result = Pick<DeliveryReport, "kind" | "status">;

/** Returns the worst result of all recipients. A mail has one, but a server may have expanded it to several. */
function worstOf(text: string): Result | undefined {
  const results = text
    .replaceAll("\r\n", "\n")
    .split(/\n\n+/)
    .map(resultOf)
    .filter((result) => result !== undefined);
  return results.sort((a, b) => severity(b) - severity(a))[0];
}

function severity({ kind, status }: Result): number {
  if (kind === "delayed") return 0;
  return status.startsWith("5") ? 2 : 1;
}

/** RFC 3464 §2.3. Returns undefined for the per-message fields, and for a recipient without a failure or delay. */
function resultOf(block: string): Result | undefined {
  const fields = fieldsOf(block);
  const action = /^[a-z]+/i.exec(fields.get("action") ?? "")?.[0].toLowerCase();
  if (action !== "failed" && action !== "delayed") return undefined;
  const given = /^([45]\.\d{1,3}\.\d{1,3})(?![.\d])/.exec(fields.get("status") ?? "")?.[1];
  const status = given && isVague(given) ? (diagnosedStatus(fields, given) ?? given) : given;
  return status === undefined ? undefined : { kind: action, status };
}

/** X.0.0, which some servers write whatever the reason. */
function isVague(status: string): boolean {
  return /^\d\.0\.0$/.test(status);
}

function diagnosedStatus(fields: ReadonlyMap<string, string>, given: string): string | undefined {
  const said = /^smtp;\s*\d{3}[ -]([45]\.\d{1,3}\.\d{1,3})(?![.\d])/i.exec(
    fields.get("diagnostic-code") ?? "",
  )?.[1];
  return said?.[0] === given[0] ? said : undefined;
}

/** Parses header fields: the first of each name, unfolded, by lower-case name. */
function fieldsOf(block: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (const line of block.replace(/\n[ \t]+/g, " ").split("\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).trim().toLowerCase();
    if (name !== "" && !fields.has(name)) fields.set(name, line.slice(colon + 1).trim());
  }
  return fields;
}

function recipientsOf({ headerLines }: ParsedMail): string[] {
  return recipientHeaders.flatMap((header) =>
    headerLines
      .filter(({ key }) => key === header)
      .flatMap(({ line }) => line.match(/[^\s<>,;:"()]+@[^\s<>,;:"()]+/g) ?? []),
  );
}

/** Reads only headers, because the text of a returned mail may quote other ids. */
function messageIdsOf({ attachments }: ParsedMail): string[] {
  return attachments
    .filter(({ contentType }) => returnedTypes.includes(contentType))
    .map((returned) => textOf(returned).replaceAll("\r\n", "\n").split("\n\n", 1)[0] ?? "")
    .map((headers) => /<[^<>\s]+>/.exec(fieldsOf(headers).get("message-id") ?? "")?.[0])
    .filter((id) => id !== undefined);
}

function textOf({ content }: Attachment): string {
  return content.toString("utf8");
}
