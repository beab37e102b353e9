import { readFileSync } from "node:fs";
import * as v from "valibot";
import { type OrganizationSender, senderProblems } from "../mail/providers/senders.ts";
import { dkimDomain, dkimKey, dkimSelector, mailFrom, tokenUrl } from "./sender-values.ts";

/** The path of a file, as the text of that file. */
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
 * Reads the file of COUNTERSIGN_SENDERS_FILE: a JSON object with the senders of organizations, by organization id.
 *
 * @returns the senders, and problems that name the organization and the member but quote no value.
 */
export function readSendersFile(path: string): {
  readonly senders: Readonly<Record<string, OrganizationSender>>;
  readonly problems: readonly string[];
} {
  let entries: unknown;
  try {
    entries = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    // The message of a SyntaxError quotes the file.
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
  // Without providers of its own it uses the default ones, which are checked where they are set.
  const { smtpUrl = "smtp://localhost" } = sender;
  return senderProblems({ ...sender, smtpUrl }).map(({ setting, problem }) => [setting, problem]);
}

/** Replaces the messages of valibot, which quote what they received. */
function messageOf(issue: v.BaseIssue<unknown>): string {
  if (issue.type === "strict_object") {
    if (v.getDotPath(issue) === null) return "must be an object";
    return issue.received === "undefined" ? "is missing" : "is not a known member";
  }
  return issue.kind === "schema" ? "is missing or of the wrong type" : issue.message;
}
