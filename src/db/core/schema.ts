import type { ColumnType, Generated, Insertable, Selectable } from "kysely";

/**
 * The tables. Times are milliseconds since the Unix epoch. Ids made by this service are 63-bit, time-ordered integers (see
 * id.ts), which a number cannot hold exactly: they are strings here.
 */
export interface DB {
  users: UsersTable;
  events: EventsTable;
  ended_trails: EndedTrailsTable;
  otp_emails: OTPEmailsTable;
  challenges: ChallengesTable;
  outbox: OutboxTable;
  removed_otp_emails: RemovedOTPEmailsTable;
  hits: HitsTable;
  idempotency_keys: IdempotencyKeysTable;
  suppressions: SuppressionsTable;
}

export type UserState = "active" | "inactive" | "locked";

export interface UsersTable {
  user_id: Fixed<string>;
  org_id: Fixed<string>;
  state: UserState;
  preferred_language: string | null;
  display_name: string | null;
  /** The number of events of the user: `details.sequence`. */
  sequence: number;
  /** The positions of the last event and the one before it, from which the events are read backwards. Null: there is none. */
  last_event: number | null;
  previous_event: number | null;
  create_time: Fixed<number>;
  change_time: number;
}

/**
 * The audit log: what happened to users, in order. It outlives the users, and never holds a code, a token or an email address.
 *
 * There is no index by user: each event has the position of the user's previous one.
 */
export interface EventsTable {
  /**
   * The place in the audit log, assigned by the database. With one writer at a time positions are committed in order. With many, a
   * lower position can be committed after a higher one (see the event feed).
   */
  position: Generated<number>;
  /** The position of the previous event of the same user in the same organization. */
  previous: Fixed<number | null>;
  org_id: Fixed<string>;
  user_id: Fixed<string>;
  sequence: Fixed<number>;
  type: Fixed<string>;
  time: Fixed<number>;
  /** The subject of the caller's token. */
  actor: Fixed<string>;
  /** The address the call came from, if known. It is erased with the user if it was the user's own. */
  client_address: string | null;
  /** The reason the caller gave. */
  reason: Fixed<string | null>;
  /** A small JSON object. */
  data: Fixed<string>;
}

/** The last events of deleted users. A new user with the same id in the same organization continues from there. */
export interface EndedTrailsTable {
  org_id: Fixed<string>;
  user_id: Fixed<string>;
  sequence: number;
  last_event: number;
}

export interface OTPEmailsTable extends LastMailColumns {
  otp_email_id: Fixed<string>;
  user_id: Fixed<string>;
  /** The address as given. It never changes: another address is another authenticator. */
  address: Fixed<string>;
  /** Unique within the user. */
  address_canonical: Fixed<string>;
  verify_time: number | null;
  /** The id of the key that derives the live code. The three code columns are null if there is none. */
  code_key_id: string | null;
  code_salt: Uint8Array | null;
  code_expire_time: number | null;
  /** Wrong or unfinished attempts at the live code. */
  attempts: number;
  /** The same over all codes since the last right one. */
  failures: Generated<number>;
  /** The times of the last failures: a JSON list, oldest first, at most as long as the hourly limit. */
  failure_times: Generated<string>;
  /** How often this authenticator was locked since the last right code. */
  lock_count: number;
  locked_until: number | null;
  /** When one of its codes was last accepted. */
  last_use_time: number | null;
  create_time: Fixed<number>;
  change_time: number;
}

/** The last mail that was settled, and its outcome. Null if there is none. A mail that is still waiting is in the outbox. */
export interface LastMailColumns {
  mail_id: string | null;
  mail_state: "sent" | "failed" | "suppressed" | null;
  mail_create_time: number | null;
  mail_settle_time: number | null;
  /** See `reason` of the outbox. */
  mail_reason: string | null;
}

/**
 * `pending` waits for its code, all others are final. `failed`: too many wrong codes. `expired`: its code was tried after it
 * had expired. `reported`: by the reader of the mail.
 */
export type ChallengeState =
  | "pending"
  | "passed"
  | "failed"
  | "expired"
  | "replaced"
  | "cancelled"
  | "reported";

/** The states of challenges that can still be ended: those whose code has expired, too. */
export const openChallengeStates = ["pending", "expired"] as const satisfies ChallengeState[];

/** Login checks of verified authenticators, each of which has at most one pending. */
export interface ChallengesTable extends LastMailColumns {
  challenge_id: Fixed<string>;
  otp_email_id: Fixed<string>;
  state: ChallengeState;
  /** The audience of the proof. */
  audience: Fixed<string>;
  /** Repeated in the proof. */
  nonce: Fixed<string | null>;
  /** The id of the key that the code is derived from. */
  code_key_id: Fixed<string>;
  code_salt: Fixed<Uint8Array>;
  /** Wrong or unfinished attempts at this code. */
  attempts: number;
  /** When the reader of the mail reported that they didn't ask for the code. */
  report_time: number | null;
  code_expire_time: Fixed<number>;
  create_time: Fixed<number>;
  /** When the row is removed. The mail can be reported until then. */
  expire_time: Fixed<number>;
}

export type MailState = "queued" | "sent" | "failed" | "dropped";

/** Mails to send over SMTP. No row holds a code: it is derived when the mail is sent. */
export interface OutboxTable {
  mail_id: Fixed<string>;
  purpose: Fixed<string>;
  user_id: Fixed<string>;
  otp_email_id: Fixed<string>;
  /** The salt of the code in this mail. The mail is dead once the authenticator has another code. Empty: it has no code. */
  code_salt: Fixed<Uint8Array>;
  /** The template of the link. Null: the page of this service. */
  url_template: Fixed<string | null>;
  /** The language the call asked for (BCP 47). Null: the user's own. */
  language: Fixed<string | null>;
  /** For a notice: the address that the reported change was requested from, if known. */
  client_address: Fixed<string | null>;
  /** The Message-ID (RFC 5322 §3.6.4), the same for each attempt, so that a second copy is recognised as such. */
  message_id: Fixed<string>;
  state: MailState;
  /** How often the courier has claimed it. */
  attempts: number;
  next_attempt_time: number;
  /** The holder of the lease, and when it ends. Null: the mail is not leased. */
  lease_id: string | null;
  lease_until: number | null;
  /** When the code expires, and the mail with it. */
  expire_time: Fixed<number>;
  create_time: Fixed<number>;
  settle_time: number | null;
  /** Why it is not sent (yet): reply code and enhanced status, never the text of the server. */
  reason: string | null;
  /** When it bounced or its reader complained. The first report counts. */
  bounce_time: number | null;
}

/**
 * Addresses to which no mail is sent for some time. They are stored as a keyed digest, as in `hits`: rows outlive the
 * authenticators, and identify no one.
 */
export interface SuppressionsTable {
  digest: Fixed<string>;
  /** The authenticator whose mail bounced, for operators to look up. Null once it is removed. */
  otp_email_id: string | null;
  /** An enhanced status code (RFC 3463), or `complaint`. */
  status: string;
  /** Where the report came from: our relay, a delivery status notification or the webhook of a provider. */
  source: SuppressionSource;
  /** How many mails bounced so far. Each one suppresses the address for longer. */
  count: number;
  /** The time of the last bounce. */
  create_time: number;
  suppressed_until: number;
  /** When the row is removed. Until then another bounce suppresses the address for longer. */
  expire_time: number;
}

export type SuppressionSource = "relay" | "notification" | "webhook";

/**
 * The failures of removed authenticators, so that adding one again does not reset them. Stored under a keyed digest of
 * organization, user and address, which identifies no one.
 */
export interface RemovedOTPEmailsTable {
  digest: Fixed<string>;
  failures: Fixed<number>;
  failure_times: Fixed<string>;
  lock_count: Fixed<number>;
  locked_until: Fixed<number | null>;
  expire_time: Fixed<number>;
}

/** The counters of rate limits, such as those on mails. They identify no one either. */
export interface HitsTable {
  /** A keyed digest of what is limited, such as an address. */
  digest: Fixed<string>;
  /** The start of the time slot that is counted. */
  time: Fixed<number>;
  count: number;
  expire_time: Fixed<number>;
}

/** The replies to calls with an idempotency key. Never a code. */
export interface IdempotencyKeysTable {
  /** A keyed digest of the principal and the idempotency key. */
  digest: Fixed<string>;
  /** A digest of the method and the message. */
  request_digest: Fixed<string>;
  /** A small JSON object. */
  reply: Fixed<string>;
  expire_time: Fixed<number>;
}

export type EventRow = Selectable<EventsTable>;
/** A user, without a column that is only used to write its next event. */
export type UserRow = Omit<Selectable<UsersTable>, "previous_event">;
export type OTPEmailRow = Selectable<OTPEmailsTable>;
export type ChallengeRow = Selectable<ChallengesTable>;
export type SuppressionRow = Selectable<SuppressionsTable>;
export type OutboxRow = Selectable<OutboxTable>;
export type NewOutboxRow = Insertable<OutboxTable>;

/** Written once, never updated. */
type Fixed<T> = ColumnType<T, T, never>;
