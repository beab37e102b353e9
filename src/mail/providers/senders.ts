import type { Clock } from "../../lib/clock.ts";
import type { DkimSettings, MailAddress, Mailer, OAuthSettings } from "../mailer.ts";
import { sendWithTimeout } from "../smtp/send-with-timeout.ts";
import { createSmtpMailer } from "../smtp/smtp-mailer.ts";
import { createCircuitBreaker } from "./circuit-breaker.ts";
import { type FailoverOptions, type GuardedProvider, type Provider, sendThrough } from "./failover.ts";
import { type ProviderUrl, parseProviderUrls } from "./provider-url.ts";
import { createSesProvider, requireSesSdk } from "./ses.ts";
import { createWebhookProvider, readWebhookSecrets } from "./webhook.ts";

/** From address of mails, and the providers that send them. */
export interface Sender {
  readonly from: MailAddress;
  /** One or more providers, in the order in which they are tried (see `parseProviderUrls`). */
  readonly smtpUrl: string;
  readonly dkim?: DkimSettings | undefined;
  readonly oauth?: OAuthSettings | undefined;
  /** One or more secrets (see `readWebhookSecrets`). */
  readonly webhookSecret?: string | undefined;
}

/** Sender of an organization. Without `smtpUrl` the default providers send its mails, with its own from address. */
export type OrganizationSender = Omit<Sender, "smtpUrl"> & { readonly smtpUrl?: string | undefined };

export interface SendersOptions {
  readonly clock: Clock;
  /** Used for organizations without their own sender, and as the fallback for the others. */
  readonly defaultSender: Sender;
  readonly organizations: Readonly<Record<string, OrganizationSender>>;
  readonly log: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
}

/** A mailer that sends each mail through the sender of its organization. */
export interface Senders extends Mailer {
  /** Whether a default provider accepts non-ASCII local parts. */
  takesUtf8(): boolean;
  /** Whether the breaker of at least one default provider is closed. */
  isHealthy(): boolean;
}

interface Chain {
  readonly providers: readonly GuardedProvider[];
  /** Tried if all of them reject the sender. */
  readonly ifSenderRejected?: readonly GuardedProvider[];
}

/** Timeout of an attempt over all providers, in milliseconds. Shorter than the courier's lease. */
const sendMs = 90_000;

/** How often providers that have not answered yet are probed again. */
const probeMs = 60_000;

/**
 * Opens the providers of all senders, and probes the default ones in the background.
 *
 * @throws if a sender is not usable.
 */
export async function openSenders({
  clock,
  defaultSender,
  organizations,
  log,
}: SendersOptions): Promise<Senders> {
  const closing = new AbortController();
  const opened: Provider[] = [];
  const open = async (sender: Sender): Promise<GuardedProvider[]> => {
    const guarded: GuardedProvider[] = [];
    for (const url of parseProviderUrls(sender.smtpUrl)) {
      const provider = await createProvider(url, sender);
      opened.push(provider);
      guarded.push({ name: url.name, provider, breaker: createCircuitBreaker() });
    }
    return guarded;
  };

  const defaultProviders = await open(defaultSender);
  const chains = new Map<string, Chain>();
  for (const [orgId, own] of Object.entries(organizations)) {
    chains.set(
      orgId,
      own.smtpUrl === undefined
        ? // Not tried after other failures: the same relays would fail again under another name.
          {
            providers: await open({ ...defaultSender, from: own.from, dkim: own.dkim }),
            ifSenderRejected: defaultProviders,
          }
        : { providers: [...(await open({ ...own, smtpUrl: own.smtpUrl })), ...defaultProviders] },
    );
  }

  const isUnknown = ({ provider }: GuardedProvider) => provider.takesUtf8() === undefined;
  const probing = (async () => {
    while (!closing.signal.aborted && defaultProviders.some(isUnknown)) {
      await Promise.all(defaultProviders.filter(isUnknown).map(({ provider }) => provider.probe?.()));
      if (defaultProviders.some(isUnknown)) await clock.wait(probeMs, closing.signal);
    }
  })();

  const failover: FailoverOptions = {
    clock,
    sendMs,
    onTurn(provider, isOpen) {
      if (isOpen) log.warn({ provider }, "a mail provider fails and is skipped for a while");
      else log.info({ provider }, "a mail provider is back");
    },
  };
  return {
    takesUtf8: () => defaultProviders.some(({ provider }) => provider.takesUtf8() === true),
    isHealthy: () => defaultProviders.some(({ breaker }) => breaker.restsUntil === undefined),

    send(mail, signal) {
      const own = mail.orgId === undefined ? undefined : chains.get(mail.orgId);
      const { providers, ifSenderRejected } = own ?? { providers: defaultProviders };
      if (!ifSenderRejected) return sendThrough(providers, mail, signal, failover);
      return sendWithTimeout(sendMs, signal, async (attempt) => {
        const result = await sendThrough(providers, mail, attempt, failover);
        const isRejected = result.kind === "reject" && result.about === "sender";
        return isRejected ? sendThrough(ifSenderRejected, mail, attempt, failover) : result;
      });
    },

    async [Symbol.asyncDispose]() {
      closing.abort();
      for (const provider of opened) await provider[Symbol.asyncDispose]();
      await probing;
    },
  };
}

function createProvider(url: ProviderUrl, sender: Sender): Provider | Promise<Provider> {
  const { from, dkim, oauth, webhookSecret } = sender;
  switch (url.kind) {
    case "smtp":
      return createSmtpMailer({ url: url.url, from, dkim, oauth });
    case "ses":
      return createSesProvider({ region: url.region, endpoint: url.endpoint, from, dkim });
    case "webhook":
      return createWebhookProvider({ url: url.url, from, secrets: readWebhookSecrets(webhookSecret ?? "") });
  }
}

/** Finds problems of a sender that show without a connection, each with the setting it is about. */
export function senderProblems(
  sender: Sender,
): { readonly setting: keyof Sender; readonly problem: string }[] {
  const problems: { setting: keyof Sender; problem: string }[] = [];
  const check = (setting: keyof Sender, work: () => unknown) => {
    try {
      work();
    } catch (error) {
      problems.push({ setting, problem: (error as Error).message });
    }
  };
  let urls: readonly ProviderUrl[] = [];
  check("smtpUrl", () => {
    urls = parseProviderUrls(sender.smtpUrl);
  });
  if (urls.some(({ kind }) => kind === "ses")) check("smtpUrl", requireSesSdk);
  if (sender.webhookSecret !== undefined || urls.some(({ kind }) => kind === "webhook")) {
    check("webhookSecret", () => readWebhookSecrets(sender.webhookSecret ?? ""));
  }
  if (urls.some((url) => url.kind === "smtp" && url.xoauth2) && !sender.oauth) {
    problems.push({ setting: "oauth", problem: "is missing: an SMTP URL has ?auth=xoauth2" });
  }
  const { dkim, from } = sender;
  if (dkim && !`.${from.address.split("@")[1]}`.endsWith(`.${dkim.domain}`)) {
    problems.push({ setting: "dkim", problem: "must be of the sender's domain or one above it (DMARC)" });
  }
  return problems;
}
