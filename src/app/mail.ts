import type { Config } from "../config/config.ts";
import { senderOf } from "../config/mail.ts";
import type { Store } from "../db/store.ts";
import type { Clock } from "../lib/clock.ts";
import type { Log } from "../lib/log.ts";
import { startCourier } from "../mail/courier/courier.ts";
import type { CaughtMail } from "../mail/dev-mailbox/dev-mailbox.ts";
import { readBacklog } from "../mail/outbox/backlog.ts";
import { openSenders } from "../mail/providers/senders.ts";
import { readCustomTemplates } from "../mail/templates/custom-templates.ts";
import { builtInTemplate } from "../mail/templates/mail-templates.ts";
import type { Metrics } from "../operation/telemetry/metrics.ts";
import type { OTPContext } from "../otp/context.ts";
import { composeMail, type MailIdentity } from "../otp/delivery/compose-mail.ts";
import { recordSettled } from "../otp/delivery/record-settled.ts";
import type { Page } from "../pages/pages.ts";
import type { CleanupStack } from "./cleanup-stack.ts";
import type { Secrets } from "./secrets.ts";
import type { Storage } from "./storage.ts";

export interface Mail {
  readonly senders: Awaited<ReturnType<typeof openSenders>>;
  /** The pages of the development mailbox by path, if it is used. */
  readonly mailboxPages: readonly Page[];
}

interface MailOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Called for each mail that arrives in the development mailbox. */
  readonly onMail: ((mail: CaughtMail) => void) | undefined;
}

/** Opens the configured mail providers, or the development mailbox if there are none. */
export async function openMail(config: Config, options: MailOptions, cleanup: CleanupStack): Promise<Mail> {
  const { clock, log, onMail } = options;
  const mailbox = config.smtpUrl === undefined ? await openMailbox(clock, onMail, cleanup) : undefined;
  const senders = cleanup.add(
    await openSenders({
      clock,
      log,
      defaultSender: senderOf(config) ?? { smtpUrl: mailbox?.smtpUrl ?? "", from: config.mailFrom },
      organizations: config.senders,
    }),
  );
  return { senders, mailboxPages: mailbox?.pages ?? [] };
}

/** Imports the mailbox only if it is used, to save memory in production. */
async function openMailbox(clock: Clock, onMail: MailOptions["onMail"], cleanup: CleanupStack) {
  const { startDevMailbox } = await import("../mail/dev-mailbox/dev-mailbox.ts");
  const { devMailboxPages } = await import("../mail/dev-mailbox/pages.ts");
  const mailbox = cleanup.add(await startDevMailbox({ clock, onMail }));
  return {
    smtpUrl: mailbox.smtpUrl,
    pages: Array.from(devMailboxPages(mailbox), ([path, handler]): Page => ({ path, handler })),
  };
}

export function mailIdentityOf(config: Config, publicUrl: string): MailIdentity {
  return {
    publicUrl,
    serviceName: config.mailFrom.name || new URL(publicUrl).hostname,
    templates: config.templatesDir === undefined ? builtInTemplate : readCustomTemplates(config.templatesDir),
    defaultLanguage: config.defaultLanguage,
    codeInSubject: config.codeInSubject,
    bounceAddress: config.bounceAddress,
  };
}

interface DeliveryParts {
  readonly config: Config;
  readonly storage: Storage;
  readonly secrets: Secrets;
  readonly mail: Mail;
  readonly identity: MailIdentity;
  readonly log: Log;
  readonly metrics: Metrics | undefined;
}

/**
 * Creates the context of the use cases in `otp/`, and starts the courier. They refer to each other: a use case wakes the
 * courier, and the courier composes mails with the context.
 */
export function startDelivery(parts: DeliveryParts, cleanup: CleanupStack): OTPContext {
  const { config, storage, secrets, mail, identity, log, metrics } = parts;
  const { store, clock } = storage;
  const otp: OTPContext = {
    store,
    clock,
    keys: secrets.codeKeys,
    policy: config.policy,
    messageIdDomain: new URL(identity.publicUrl).hostname,
    mailQueued: () => courier.wake(),
  };
  const courier = cleanup.add(
    startCourier({
      store,
      clock,
      mailer: mail.senders,
      log,
      compose: (row) => composeMail(otp, identity, row),
      onSettle: (trx, row) => recordSettled(trx, otp, row),
      onSettled: metrics?.countMail,
    }),
  );
  return otp;
}

/** The number of queued mails, and the age of the oldest in milliseconds. */
export async function backlogOf({ db }: Store, clock: Clock) {
  const { mails, oldestTime } = await readBacklog(db);
  return { mails, oldestMs: oldestTime === undefined ? 0 : Math.max(0, clock.now() - oldestTime) };
}
