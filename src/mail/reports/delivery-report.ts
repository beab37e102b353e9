import { type Attachment, type ParsedMail, simpleParser } from "mailparser";

/** What a delivery status notification says (RFC 3464), and by what the mail that it is about may be known. */
export interface DeliveryReport {
  /** `failed`: it will not be delivered. `delayed`: it may be. */
  readonly kind: "failed" | "delayed";
  /** An enhanced status code (RFC 3463), such as 5.1.1 */
  readonly status: string;
  /** To whom the notification came. Strings from outside: nothing was proved. */
  readonly recipients: readonly string[];
  /** The Message-IDs of what was returned with it, with their angle brackets. From outside as well. */
  readonly messageIds: readonly string[];
}

/** Where the servers on the way write the address that a notification was delivered to, the most exact first. */
const recipientHeaders = ["delivered-to", "x-original-to", "envelope-to", "to"];

const statusTypes = ["message/delivery-status", "message/global-delivery-status"];
const returnedTypes = ["message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"];

/**
 * Reads a delivery status notification.
 *
 * @param message as a whole, or as much of it as is kept.
 * @returns undefined if it is none, or tells of no failure and no delay. It never throws for what a message says.
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
  const gravest = status && gravestOf(textOf(status));
  if (!gravest) return undefined;
  return { ...gravest, recipients: recipientsOf(mail), messageIds: messageIdsOf(mail) };
}

/** RFC 3464 §2. What a person forwards as an attachment of another mail is none. */
function isReport({ headers }: ParsedMail): boolean {
  const type = headers.get("content-type");
  if (typeof type !== "object" || !("params" in type) || typeof type.value !== "string") return false;
  return (
    type.value.toLowerCase() === "multipart/report" &&
    new Map(Object.entries(type.params)).get("report-type")?.toLowerCase() === "delivery-status"
  );
}

type Result = Pick<DeliveryReport, "kind" | "status">;

/** Of the recipients that it tells of: each mail has one, but a server on the way may have made several of it. */
function gravestOf(text: string): Result | undefined {
  const results = text
    .replaceAll("\r\n", "\n")
    .split(/\n\n+/)
    .map(resultOf)
    .filter((result) => result !== undefined);
  return results.sort((a, b) => gravity(b) - gravity(a))[0];
}

function gravity({ kind, status }: Result): number {
  if (kind === "delayed") return 0;
  return status.startsWith("5") ? 2 : 1;
}

/** RFC 3464 §2.3. Undefined for the fields that are about the message as a whole, and for what went well. */
function resultOf(block: string): Result | undefined {
  const fields = fieldsOf(block);
  const action = /^[a-z]+/i.exec(fields.get("action") ?? "")?.[0].toLowerCase();
  if (action !== "failed" && action !== "delayed") return undefined;
  const given = /^([45]\.\d{1,3}\.\d{1,3})(?![.\d])/.exec(fields.get("status") ?? "")?.[1];
  const status = given && isVague(given) ? (diagnosedStatus(fields, given) ?? given) : given;
  return status === undefined ? undefined : { kind: action, status };
}

/** X.0.0: some servers write no other, whatever the next one said. */
function isVague(status: string): boolean {
  return /^\d\.0\.0$/.test(status);
}

function diagnosedStatus(fields: ReadonlyMap<string, string>, given: string): string | undefined {
  const said = /^smtp;\s*\d{3}[ -]([45]\.\d{1,3}\.\d{1,3})(?![.\d])/i.exec(
    fields.get("diagnostic-code") ?? "",
  )?.[1];
  return said?.[0] === given[0] ? said : undefined;
}

/** The first field of each name, by its name in lower case, unfolded. */
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

/** Of the headers alone: the text of a returned message may quote any. */
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
