import { createPrivateKey } from "node:crypto";
import { readFileSync } from "node:fs";
import * as v from "valibot";
import { parseEmailAddress } from "../lib/email-address.ts";
import type { MailAddress } from "../mail/mailer.ts";
import { isFetchable } from "../mail/providers/provider-url.ts";
import { type OrganizationSender, senderProblems } from "../mail/providers/senders.ts";

/** `Name <address>`, or an address alone. */
export const mailFrom = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }): MailAddress => {
    const match = /^(?:([^<>"\r\n]*)<([^<>]+)>|([^<>\s]+))$/.exec(dataset.value.trim());
    const parsed = parseEmailAddress(match?.[2] ?? match?.[3] ?? "");
    if (parsed.ok) return { name: match?.[1]?.trim() ?? "", address: parsed.address.mailbox };
    addIssue({ message: "must be an address such as codes@example.com or Example <codes@example.com>" });
    return NEVER;
  }),
);

/** An https URL, or one of this machine. */
export const tokenUrl = v.pipe(
  v.string(),
  v.check(
    (value) => URL.canParse(value) && isFetchable(new URL(value)),
    "must be an https URL without a password (http for loopback hosts only)",
  ),
);

export const dkimDomain = v.pipe(
  v.string(),
  v.regex(
    /^[a-z\d](?:[a-z\d.-]*[a-z\d])?$/,
    "must be a domain in lower case (A-labels), such as example.com",
  ),
);

export const dkimSelector = v.pipe(
  v.string(),
  v.regex(/^[a-z\d](?:[a-z\d.-]*[a-z\d])?$/i, "must be letters, digits, dots and dashes, such as mail2026"),
);

/** RFC 8301 §3.2: signers use RSA keys of at least 2048 bits. (RFC 8463's Ed25519 is not in nodemailer.) */
export const dkimKey = v.pipe(
  v.string(),
  v.check(isDkimKey, "must be a private RSA key of at least 2048 bits in PEM: openssl genrsa 2048 makes one"),
);

function isDkimKey(pem: string): boolean {
  try {
    const { asymmetricKeyType, asymmetricKeyDetails } = createPrivateKey(pem);
    return asymmetricKeyType === "rsa" && (asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
  } catch {
    return false;
  }
}

/** The text of the file that a setting names. */
const fileText = v.pipe(
  v.string(),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      return readFileSync(dataset.value, "utf8");
    } catch {
      addIssue({ message: "names a file that cannot be read" });
      return NEVER;
    }
  }),
);

const secret = v.pipe(v.string(), v.nonEmpty("must not be empty"));

const senderEntry = v.strictObject({
  from: mailFrom,
  smtpUrl: v.optional(v.string()),
  dkim: v.optional(
    v.strictObject({ domain: dkimDomain, selector: dkimSelector, keyFile: v.pipe(fileText, dkimKey) }),
  ),
  oauth: v.optional(
    v.strictObject({ tokenUrl, clientId: secret, clientSecret: secret, refreshToken: secret }),
  ),
  webhookSecret: v.optional(secret),
});

type SenderEntry = v.InferOutput<typeof senderEntry>;

/**
 * Reads the file of COUNTERSIGN_SENDERS_FILE: the senders of organizations, by the id of the organization.
 *
 * Problems name the organization and the member, and quote no value.
 */
export function readSendersFile(path: string): {
  readonly senders: Readonly<Record<string, OrganizationSender>>;
  readonly problems: readonly string[];
} {
  let entries: unknown;
  try {
    entries = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    // The text of a SyntaxError quotes the file.
    const problem = error instanceof SyntaxError ? "is not JSON" : "cannot be read";
    return { senders: {}, problems: [`names a file that ${problem}`] };
  }
  if (typeof entries !== "object" || entries === null || Array.isArray(entries)) {
    return { senders: {}, problems: ['names a file that is not a JSON object: {"ORG_ID": {"from": …}}'] };
  }
  const senders: Record<string, OrganizationSender> = Object.create(null);
  const problems: string[] = [];
  for (const [orgId, entry] of Object.entries(entries)) {
    const where = (member: string) => `entry ${JSON.stringify(orgId)}, ${member}`;
    const { success, output, issues } = v.safeParse(senderEntry, entry);
    if (success) {
      senders[orgId] = toSender(output);
      problems.push(...problemsOf(senders[orgId]).map(([member, problem]) => `${where(member)} ${problem}`));
    }
    for (const issue of issues ?? []) {
      problems.push(`${where(v.getDotPath(issue) ?? "as a whole")} ${messageOf(issue)}`);
    }
  }
  return { senders, problems };
}

function toSender({ from, smtpUrl, dkim, oauth, webhookSecret }: SenderEntry): OrganizationSender {
  return {
    from,
    smtpUrl,
    dkim: dkim && { domain: dkim.domain, selector: dkim.selector, privateKey: dkim.keyFile },
    oauth,
    webhookSecret,
  };
}

function problemsOf(sender: OrganizationSender): [string, string][] {
  // Without providers of its own it uses those of all, which are checked where they are set.
  const { smtpUrl = "smtp://localhost" } = sender;
  return senderProblems({ ...sender, smtpUrl }).map(({ setting, problem }) => [setting, problem]);
}

/** Of what is not one of our own sentences, nothing is told: it quotes what it got. */
function messageOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "strict_object") {
    if (v.getDotPath(issue) === null) return "must be an object";
    return issue.received === "undefined" ? "is missing" : "is no member that a sender has";
  }
  return issue.kind === "schema" ? "is missing or of the wrong type" : issue.message;
}
