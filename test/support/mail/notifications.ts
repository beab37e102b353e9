/** Delivery status notifications as different servers write them, all about one mail. Lines end with LF. */

export interface About {
  /** Return path of the mail. */
  readonly returnPath: string;
  /** With its angle brackets. */
  readonly messageId: string;
}

export type Shape = (about: About) => string;

const report = (boundary: string) =>
  `multipart/report; report-type=delivery-status;\n\tboundary="${boundary}"`;

/** Folded fields, the address in Delivered-To, the whole mail returned. */
export const postfix: Shape = ({ returnPath, messageId }) => `Return-Path: <>
X-Original-To: ${returnPath}
Delivered-To: ${returnPath}
Date: Mon, 23 Nov 2026 09:00:00 +0000 (UTC)
From: MAILER-DAEMON@mx.relay.example (Mail Delivery System)
Subject: Undelivered Mail Returned to Sender
To: ${returnPath}
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: ${report("4XyZ.1732352400/mx.relay.example")}
Message-Id: <20261123090000.4XyZ@mx.relay.example>

This is a MIME-encapsulated message.

--4XyZ.1732352400/mx.relay.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

This is the mail system at host mx.relay.example.

<mini@mouse.com>: host mx.mouse.com[192.0.2.1] said: 550 5.1.1
    <mini@mouse.com>: Recipient address rejected: User unknown

--4XyZ.1732352400/mx.relay.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.relay.example
X-Postfix-Queue-ID: 4XyZ
X-Postfix-Sender: rfc822; ${returnPath}
Arrival-Date: Mon, 23 Nov 2026 09:00:00 +0000 (UTC)

Final-Recipient: rfc822; mini@mouse.com
Original-Recipient: rfc822;mini@mouse.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.mouse.com
Diagnostic-Code: smtp; 550 5.1.1 <mini@mouse.com>: Recipient address rejected:
    User unknown

--4XyZ.1732352400/mx.relay.example
Content-Description: Undelivered Message
Content-Type: message/rfc822

Return-Path: <${returnPath}>
From: Countersign <codes@example.com>
To: mini@mouse.com
Subject: Confirm your email address
Message-ID: ${messageId}
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="inner"

--inner
Content-Type: text/plain; charset=utf-8

Action: delivered
--inner--

--4XyZ.1732352400/mx.relay.example--
`;

/** HTML in base64, the status as a separate field, many X-headers, CRLF. */
export const exchange: Shape = ({ messageId }) =>
  `From: <postmaster@example.onmicrosoft.com>
To: <codes@example.com>
Date: Mon, 23 Nov 2026 09:00:00 +0000
MIME-Version: 1.0
Content-Type: ${report("_2a1c_")}
X-MS-Exchange-Message-Is-Ndr:
Content-Language: en-US
Message-ID: <ndr@example.prod.outlook.com>
In-Reply-To: ${messageId}
Subject: Undeliverable: Confirm your email address

--_2a1c_
Content-Type: multipart/alternative; differences=Content-Type;
\tboundary="_alt_"

--_alt_
Content-Type: text/plain; charset="utf-8"
Content-Transfer-Encoding: base64

WW91ciBtZXNzYWdlIGNvdWxkbid0IGJlIGRlbGl2ZXJlZC4=

--_alt_
Content-Type: text/html; charset="utf-8"
Content-Transfer-Encoding: base64

PGh0bWw+PGJvZHk+WW91ciBtZXNzYWdlPC9ib2R5PjwvaHRtbD4=

--_alt_--

--_2a1c_
Content-Type: message/delivery-status

Reporting-MTA: dns;AM0PR01.example.prod.outlook.com
Received-From-MTA: dns;mx.relay.example
Arrival-Date: Mon, 23 Nov 2026 09:00:00 +0000

Final-Recipient: rfc822;mini@mouse.com
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient mini@mouse.com not found by SMTP address lookup
X-Display-Name: mini@mouse.com

--_2a1c_
Content-Type: message/rfc822

Received: from mx.relay.example (192.0.2.7)
Message-ID: ${messageId}
Subject: Confirm your email address

gone
--_2a1c_--
`.replaceAll("\n", "\r\n");

/** The report next to a related part, a diagnosis of many lines with a link, full headers. */
export const gmail: Shape = ({ returnPath, messageId }) => `Delivered-To: ${returnPath}
Return-Path: <>
From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
To: ${returnPath}
Auto-Submitted: auto-replied
Subject: Delivery Status Notification (Failure)
Content-Type: multipart/report; boundary="000000000000abc"; report-type=delivery-status
MIME-Version: 1.0

--000000000000abc
Content-Type: multipart/related; boundary="000000000000rel"

--000000000000rel
Content-Type: text/html; charset="UTF-8"

<html><body><h2>Address not found</h2></body></html>
--000000000000rel
Content-Type: image/png; name="icon.png"
Content-Transfer-Encoding: base64

iVBORw0KGgo=
--000000000000rel--

--000000000000abc
Content-Type: message/delivery-status

Reporting-MTA: dns; googlemail.com
Received-From-MTA: dns; codes@example.com
Arrival-Date: Mon, 23 Nov 2026 01:00:00 -0800 (PST)
X-Original-Message-ID: ${messageId}

Final-Recipient: rfc822; mini@mouse.com
Action: failed
Status: 5.1.1
Remote-MTA: dns; gmail-smtp-in.l.google.com. (192.0.2.26, the server for the domain mouse.com.)
Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist. Please try
 550-5.1.1 double-checking the recipient's email address for typos or
 550 5.1.1  https://support.google.com/mail/?p=NoSuchUser
Last-Attempt-Date: Mon, 23 Nov 2026 01:00:01 -0800 (PST)

--000000000000abc
Content-Type: message/rfc822

Message-ID: ${messageId}
To: mini@mouse.com

--000000000000abc--
`;

/** The enhanced status only in the diagnosis, only headers returned, lower case. */
export const exim: Shape = ({ returnPath, messageId }) => `return-path: <>
envelope-to: ${returnPath}
from: mail delivery system <Mailer-Daemon@host.example>
to: codes@example.com
content-type: multipart/report; report-type=delivery-status; boundary=1732352400-eximdsn-1
mime-version: 1.0
subject: Mail delivery failed: returning message to sender

--1732352400-eximdsn-1
content-type: text/plain; charset=us-ascii

A message that you sent could not be delivered.

--1732352400-eximdsn-1
content-type: message/delivery-status

reporting-mta: dns; host.example

action: failed
final-recipient: rfc822;mini@mouse.com
status: 5.0.0
remote-mta: dns; mx.mouse.com
diagnostic-code: smtp; 550 5.7.1 Message rejected as spam

--1732352400-eximdsn-1
content-type: text/rfc822-headers

message-id: ${messageId}
subject: Confirm your email address

--1732352400-eximdsn-1--
`;

/** RFC 6533: non-ASCII addresses in UTF-8, with the media types for them. */
export const international: Shape = ({ returnPath, messageId }) => `Delivered-To: ${returnPath}
From: Почта <mailer-daemon@пример.example>
To: ${returnPath}
MIME-Version: 1.0
Content-Type: ${report("=_utf8")}

--=_utf8
Content-Type: text/plain; charset=utf-8

Адрес не найден: ñandú@mouse.com

--=_utf8
Content-Type: message/global-delivery-status

Reporting-MTA: dns; пример.example

Final-Recipient: utf-8; ñandú@mouse.com
Action: failed
Status: 5.1.1 (адрес не найден)

--=_utf8
Content-Type: message/global-headers

Message-ID: ${messageId}
To: ñandú@mouse.com

--=_utf8--
`;

/** The mail is delayed. */
export const delayed: Shape = (about) =>
  postfix(about)
    .replace("Action: failed", "Action: delayed")
    .replace("Status: 5.1.1", "Status: 4.4.1")
    .replace(/Diagnostic-Code: .*\n {4}.*\n/, "Will-Retry-Until: Sat, 28 Nov 2026 09:00:00 +0000 (UTC)\n");

/** Failed after days of retries. */
export const expired: Shape = (about) =>
  postfix(about)
    .replace("Status: 5.1.1", "Status: 4.4.7")
    .replace(/Diagnostic-Code: .*\n {4}.*\n/, "Diagnostic-Code: X-Relay; delivery temporarily suspended\n");

/** A receipt for a delivered mail. */
export const delivered: Shape = (about) =>
  postfix(about).replace("Action: failed", "Action: delivered").replace("Status: 5.1.1", "Status: 2.0.0");

/** From a server that expanded the recipient: one delivered, one delayed, one failed. */
export const severalRecipients: Shape = (about) =>
  postfix(about).replace(
    "Final-Recipient:",
    `Final-Recipient: rfc822; first@mouse.com
Action: relayed
Status: 2.1.9

Final-Recipient: rfc822; second@mouse.com
Action: delayed
Status: 4.2.2

Final-Recipient:`,
  );

/** The report in base64. */
export const encoded: Shape = (about) => {
  const [, fields = ""] = /message\/delivery-status\n\n([\s\S]*?)\n--4XyZ/.exec(postfix(about)) ?? [];
  const base64 = Buffer.from(fields).toString("base64").replace(/.{76}/g, "$&\n");
  return postfix(about).replace(
    `message/delivery-status\n\n${fields}`,
    `message/delivery-status\nContent-Transfer-Encoding: base64\n\n${base64}\n`,
  );
};

/** A returned mail of megabytes after the report, which is truncated. */
export const huge: Shape = (about) =>
  postfix(about).replace("Action: delivered", `${"x".repeat(76)}\n`.repeat(100_000));

/** An ordinary mail with a notification as an attachment. */
export const forwarded: Shape = (about) => `From: someone@mouse.com
To: ${about.returnPath}
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="outer"

--outer
Content-Type: text/plain

What is this?
--outer
Content-Type: message/rfc822

${postfix(about)}
--outer--
`;

/** A receipt with a failure inside the returned mail. */
export const nested: Shape = (about) =>
  delivered(about).replace(/(message\/rfc822\n\n)[\s\S]*/, `$1${postfix(about).replaceAll("4XyZ", "other")}`);

/** An ordinary mail that quotes a report. */
export const quoted: Shape = ({ returnPath, messageId }) => `From: someone@mouse.com
To: ${returnPath}
Subject: Undelivered Mail Returned to Sender

Final-Recipient: rfc822; mini@mouse.com
Action: failed
Status: 5.1.1

Message-ID: ${messageId}
`;

/** An automatic reply. */
export const outOfOffice: Shape = ({ returnPath }) => `From: mini@mouse.com
To: ${returnPath}
Auto-Submitted: auto-replied
Subject: Out of office

I am back on Monday.
`;
