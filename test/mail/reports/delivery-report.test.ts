import { describe, expect, it } from "vitest";
import { readDeliveryReport } from "../../../src/mail/reports/delivery-report.ts";
import { messageBytesMax, readMessages } from "../../../src/mail/reports/mbox.ts";
import * as shapes from "../../support/mail/notifications.ts";

const about = { returnPath: "bounces+1-0a@example.com", messageId: "<m1@otp.example.com>" };

/** Reads a message like the command does, truncated. */
async function read(text: string) {
  for await (const message of readMessages(chunks(text))) return readDeliveryReport(message);
  return undefined;
}

async function* chunks(text: string, size = 4096) {
  const bytes = Buffer.from(text);
  for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
}

const failed = (status: string) => ({ kind: "failed", status });

describe("readDeliveryReport reads a notification", () => {
  it.each<[string, shapes.Shape, object, "return path" | "other address", "Message-ID" | "none"]>([
    ["like Postfix's", shapes.postfix, failed("5.1.1"), "return path", "Message-ID"],
    ["like Exchange's", shapes.exchange, failed("5.1.10"), "other address", "Message-ID"],
    ["like Gmail's", shapes.gmail, failed("5.1.1"), "return path", "Message-ID"],
    [
      "like Exim's, with the status of the diagnosis",
      shapes.exim,
      failed("5.7.1"),
      "return path",
      "Message-ID",
    ],
    ["with non-ASCII addresses", shapes.international, failed("5.1.1"), "return path", "Message-ID"],
    ["of a delay", shapes.delayed, { kind: "delayed", status: "4.4.1" }, "return path", "Message-ID"],
    ["after days of trying", shapes.expired, failed("4.4.7"), "return path", "Message-ID"],
    [
      "of several recipients: the worst",
      shapes.severalRecipients,
      failed("5.1.1"),
      "return path",
      "Message-ID",
    ],
    ["in base64", shapes.encoded, failed("5.1.1"), "return path", "Message-ID"],
    ["before megabytes, which are cut off", shapes.huge, failed("5.1.1"), "return path", "Message-ID"],
    [
      "without the returned mail",
      (all) => shapes.postfix(all).replace(/--4XyZ[^\n]*\nContent-Description: Undelivered[\s\S]*/, ""),
      failed("5.1.1"),
      "return path",
      "none",
    ],
    [
      "with a diagnosis of another class than the status",
      (all) => shapes.exim(all).replace("550 5.7.1", "450 4.7.1"),
      failed("5.0.0"),
      "return path",
      "Message-ID",
    ],
    [
      "with an IP address in the diagnosis",
      (all) => shapes.exim(all).replace("550 5.7.1 Message", "550 5.1.2.3"),
      failed("5.0.0"),
      "return path",
      "Message-ID",
    ],
  ])("%s", async (_, shape, result, address, id) => {
    const found = await read(shape(about));
    expect(found).toMatchObject(result);
    expect(found?.recipients.includes(about.returnPath)).toBe(address === "return path");
    expect(found?.messageIds).toEqual(id === "none" ? [] : [about.messageId]);
  });
});

describe("readDeliveryReport ignores a message", () => {
  it.each<[string, shapes.Shape]>([
    ["that is a receipt", shapes.delivered],
    ["that forwards a notification", shapes.forwarded],
    ["with a notification inside the returned mail", shapes.nested],
    ["that quotes a notification", shapes.quoted],
    ["that is an automatic reply", shapes.outOfOffice],
    ["without a status", (all) => shapes.postfix(all).replace("Status: 5.1.1\n", "")],
    ["with a status of words", (all) => shapes.postfix(all).replace("Status: 5.1.1", "Status: permanent")],
    [
      "with a status of four numbers",
      (all) => shapes.postfix(all).replace("Status: 5.1.1", "Status: 5.1.1.1"),
    ],
    ["with a status of success", (all) => shapes.postfix(all).replace("Status: 5.1.1", "Status: 2.1.5")],
    ["without an action", (all) => shapes.postfix(all).replace("Action: failed\n", "")],
    [
      "with another kind of report",
      (all) =>
        shapes.postfix(all).replace("report-type=delivery-status", "report-type=disposition-notification"),
    ],
    ["without the kind of report", (all) => shapes.postfix(all).replace("report-type=delivery-status;", "")],
    ["without a boundary", (all) => shapes.postfix(all).replace(/\n\tboundary=.*/, "")],
    ["cut off before its report", (all) => shapes.postfix(all).slice(0, 900)],
    ["of only headers", () => "Content-Type: multipart/report; report-type=delivery-status\n"],
    [
      "of random bytes",
      () => Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 7919) % 256)).toString("latin1"),
    ],
    ["of an empty line", () => "\n"],
  ])("%s", async (_, shape) => {
    expect(await read(shape(about))).toBeUndefined();
  });

  it.each([
    ["parts within parts", nestedParts(2_000)],
    [
      "many parts",
      `Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n${"--b\n\n".repeat(40_000)}`,
    ],
    ["many headers", "To: a@b.c\n".repeat(25_000)],
    ["one long header", `To: ${"a@b.c,".repeat(40_000)}\n\n`],
    ["one folded header", `Content-Type: multipart/report;${"\n a=b;".repeat(40_000)}\n\n`],
  ])("of %s, in reasonable time", async (_, text) => {
    expect(await read(text)).toBeUndefined();
  });
});

function nestedParts(depth: number): string {
  let text = "Content-Type: multipart/report; report-type=delivery-status; boundary=b0\n\n";
  for (let i = 0; i < depth; i++) text += `--b${i}\nContent-Type: multipart/mixed; boundary=b${i + 1}\n\n`;
  return text;
}

describe("readMessages", () => {
  const split = async (text: string, size?: number) => {
    const messages: string[] = [];
    for await (const message of readMessages(chunks(text, size))) messages.push(message.toString());
    return messages;
  };

  it.each<[string, string, string[]]>([
    ["reads nothing from an empty input", "", []],
    ["reads a single message", "A: 1\n\nb\n", ["A: 1\n\nb\n"]],
    ["reads a message without a line feed", "A: 1", ["A: 1"]],
    ["reads a single message with From in its text", "A: 1\n\nFrom here on\n", ["A: 1\n\nFrom here on\n"]],
    [
      "reads an mbox",
      "From a@b Mon\nA: 1\n\nb\n\nFrom c@d Tue\nA: 2\n\nd\n",
      ["A: 1\n\nb\n\n", "A: 2\n\nd\n"],
    ],
    [
      "reads an mbox with CRLF",
      "From a\r\nA: 1\r\n\r\nb\r\n\r\nFrom c\r\nA: 2\r\n",
      ["A: 1\r\n\r\nb\r\n\r\n", "A: 2\r\n"],
    ],
    ["ignores From after a line of text", "From a\nA: 1\n\nb\nFrom c\n", ["A: 1\n\nb\nFrom c\n"]],
    ["ignores a quoted From", "From a\nA: 1\n\n>From c\n", ["A: 1\n\n>From c\n"]],
    ["reads empty messages", "From a\n\nFrom b\n\nFrom c\nA: 1\n", ["\n", "\n", "A: 1\n"]],
  ])("%s, in chunks of any size", async (_, text, messages) => {
    for (const size of [1, 2, 3, 7, 4096]) expect(await split(text, size)).toEqual(messages);
  });

  it("truncates a message that is too long, and reads the next", async () => {
    const long = `From a\nA: 1\n\n${"x".repeat(99)}\n`.padEnd(messageBytesMax * 3, "y");
    const [first, second, ...others] = await split(`${long}\n\nFrom b\nA: 2\n`);
    expect(first).toHaveLength(messageBytesMax);
    expect(second).toBe("A: 2\n");
    expect(others).toEqual([]);
  });
});
