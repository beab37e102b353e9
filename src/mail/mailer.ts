/**
 * What became of a mail. `retry`: it may go through later. `reject`: this mail never will. `reason` is fit for logs and
 * tables: a reply code with its phase, or a word, and never the relay's own text or an address.
 */
export type SendResult =
  | { readonly kind: "sent" }
  | {
      readonly kind: "retry";
      readonly reason: string;
      /** The provider is well, and another one may not know better. Otherwise it is about the provider. */
      readonly about?: "mail";
      /** All of the mail was handed over, and nobody has said what became of it (RFC 1047). */
      readonly mayHaveArrived?: true;
    }
  /** About the sender: this provider takes no mail from it, and another one may. Otherwise it is about the mail. */
  | { readonly kind: "reject"; readonly reason: string; readonly about?: "sender" };

export interface OutgoingMail {
  /** The organization for whose user it is. Undefined: it leaves as the mails of organizations without a sender. */
  readonly orgId?: string;
  /** A validated mailbox. */
  readonly to: string;
  /** Where a notification goes if the mail comes back (RFC 5321 §4.4). Without it: to the sender. */
  readonly envelopeFrom?: string | undefined;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Of both parts (BCP 47). */
  readonly language?: string;
  /** With its angle brackets. Message-ID and date stay the same over all attempts. */
  readonly messageId: string;
  readonly date: Date;
}

/** Hands mails over. */
export interface Mailer extends AsyncDisposable {
  /** Never rejects, and resolves soon after `signal` aborts. */
  send(mail: OutgoingMail, signal: AbortSignal): Promise<SendResult>;
}

export interface MailAddress {
  readonly name: string;
  readonly address: string;
}

/** OAuth 2.0 with a refresh token (RFC 6749 §6). */
export interface OAuthSettings {
  readonly tokenUrl: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly refreshToken: string;
}

/** How mails are signed (RFC 6376). */
export interface DkimSettings {
  readonly domain: string;
  readonly selector: string;
  /** RSA, in PEM. */
  readonly privateKey: string;
}
