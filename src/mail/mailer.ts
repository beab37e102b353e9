/**
 * Result of an attempt. `retry`: a later attempt may succeed. `reject`: no attempt will. `reason` is safe to log and store: a
 * reply code with its phase, or one word; never the relay's own text or an address.
 */
export type SendResult =
  | { readonly kind: "sent" }
  | {
      readonly kind: "retry";
      readonly reason: string;
      /** The failure is about this mail, so another provider may not help. Without it: about the provider. */
      readonly about?: "mail";
      /** The whole mail was handed over, but the final reply is missing (RFC 1047). */
      readonly mayHaveArrived?: true;
    }
  /** `about: "sender"`: this provider doesn't accept the sender, another may. Without it: about the mail. */
  | { readonly kind: "reject"; readonly reason: string; readonly about?: "sender" };

export interface OutgoingMail {
  /** Organization of the recipient, which may have its own sender. Undefined: the default sender. */
  readonly orgId?: string;
  /** A validated mailbox. */
  readonly to: string;
  /** Return path for notifications (RFC 5321 §4.4). Undefined: the sender's address. */
  readonly envelopeFrom?: string | undefined;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
  /** Language of both parts (BCP 47). */
  readonly language?: string;
  /** With its angle brackets. Message-ID and date stay the same over all attempts. */
  readonly messageId: string;
  readonly date: Date;
}

/** Sends mails. */
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

/** Settings of DKIM signatures (RFC 6376). */
export interface DkimSettings {
  readonly domain: string;
  readonly selector: string;
  /** RSA, in PEM. */
  readonly privateKey: string;
}
