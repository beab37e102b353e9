import type { ColumnType, Generated, Insertable, Selectable } from "kysely";

/**
 * The tables. Times are milliseconds since the Unix epoch. Ids made by this service are 63-bit,
 * time-ordered integers (see id.ts), beyond what a number holds exactly, and so strings here.
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
  /** How many events the user has: `details.sequence`. */
  sequence: number;
  /** The position of the last of them, and of the one before: the trail is read back from there. Null: there is none. */
  last_event: number | null;
  previous_event: number | null;
  create_time: Fixed<number>;
  change_time: number;
}

/**
 * What happened to users, in order. Never a code, a token or an email address. It outlives the users.
 *
 * No index finds the events of a user: each has the position of the one before it.
 */
export interface EventsTable {
  /**
   * Its place in the whole trail, given by the database. With one writer at a time, whoever has read up to a position has seen
   * everything before it. With many, a lower position can be committed after a higher one (see the event feed).
   */
  position: Generated<number>;
  /** Of the event before it of the same user, in the same organization. */
  previous: Fixed<number | null>;
  org_id: Fixed<string>;
  user_id: Fixed<string>;
  sequence: Fixed<number>;
  type: Fixed<string>;
  time: Fixed<number>;
  /** The subject of the token that asked for it. */
  actor: Fixed<string>;
  /** Where the call came from, if that is known. Forgotten with the user if it was the user's own. */
  client_address: string | null;
  /** In the words of whoever asked for it. */
  reason: Fixed<string | null>;
  /** A small JSON object. */
  data: Fixed<string>;
}

/** Where the trails of deleted users end. Whoever takes the id in the same organization goes on from there. */
export interface EndedTrailsTable {
  org_id: Fixed<string>;
  user_id: Fixed<string>;
  sequence: number;
  last_event: number;
}

export interface OTPEmailsTable extends LastMailColumns {
  otp_email_id: Fixed<string>;
  user_id: Fixed<string>;
  /** As given. It never changes: another address is another authenticator. */
  address: Fixed<string>;
  /** For uniqueness within the user. */
  address_canonical: Fixed<string>;
  verify_time: number | null;
  /** The id of the key that derives the live code. The three code columns are null together: no code. */
  code_key_id: string | null;
  code_salt: Uint8Array | null;
  code_expire_time: number | null;
  /** Wrong or unfinished attempts at the live code. */
  attempts: number;
  /** The same in a row, over all codes since the last right one. */
  failures: Generated<number>;
  /** When the last of these were: a JSON list of as many as the limit of an hour, oldest first. */
  failure_times: Generated<string>;
  /** How often this authenticator was locked since the last right code. */
  lock_count: number;
  locked_until: number | null;
  /** When a code of it was last accepted. */
  last_use_time: number | null;
  create_time: Fixed<number>;
  change_time: number;
}

/** The last mail that was settled, and what came of it. Null together. One that still waits is in the outbox. */
export interface LastMailColumns {
  mail_id: string | null;
  mail_state: "sent" | "failed" | "suppressed" | null;
  mail_create_time: number | null;
  mail_settle_time: number | null;
  /** As in the outbox. */
  mail_reason: string | null;
}

/**
 * `pending`: waits for its code. All others are ends. `failed`: too many wrong codes. `expired`: and somebody has tried it
 * since. `reported`: by who read the mail.
 */
export type ChallengeState =
  | "pending"
  | "passed"
  | "failed"
  | "expired"
  | "replaced"
  | "cancelled"
  | "reported";

/** Nobody has ended it yet. What ends those that wait ends those whose code has died, too. */
export const openChallengeStates = ["pending", "expired"] as const satisfies ChallengeState[];

/** Login-time checks of verified authenticators: at most one pending of each. */
export interface ChallengesTable extends LastMailColumns {
  challenge_id: Fixed<string>;
  otp_email_id: Fixed<string>;
  state: ChallengeState;
  /** Whom the proof will be for. */
  audience: Fixed<string>;
  /** What the proof repeats. */
  nonce: Fixed<string | null>;
  /** The id of the key that the code is derived from. */
  code_key_id: Fixed<string>;
  code_salt: Fixed<Uint8Array>;
  /** Wrong or unfinished attempts at this code. */
  attempts: number;
  /** When the reader of the mail said that it was somebody else. */
  report_time: number | null;
  code_expire_time: Fixed<number>;
  create_time: Fixed<number>;
  /** Until when the row is kept: the mail can be reported until then. */
  expire_time: Fixed<number>;
}

export type MailState = "queued" | "sent" | "failed" | "dropped";

/** Mails to be handed over to SMTP. No row holds a code: it is derived at that moment. */
export interface OutboxTable {
  mail_id: Fixed<string>;
  purpose: Fixed<string>;
  user_id: Fixed<string>;
  otp_email_id: Fixed<string>;
  /** The salt of the code that this mail is about. Once the authenticator has another, the mail is dead. Empty: no code. */
  code_salt: Fixed<Uint8Array>;
  /** The template of the link, or null for the service's own page. */
  url_template: Fixed<string | null>;
  /** What the request asked for (BCP 47), or null: the user's own. */
  language: Fixed<string | null>;
  /** Of a notice: where the change that it tells of was asked for, if that is known. */
  client_address: Fixed<string | null>;
  /** Made once, so that a second copy of a mail is recognised as such (RFC 5322 §3.6.4). */
  message_id: Fixed<string>;
  state: MailState;
  /** How often the courier claimed it. */
  attempts: number;
  next_attempt_time: number;
  /** Who holds the lease, and until when. Null: nobody. */
  lease_id: string | null;
  lease_until: number | null;
  /** When the code dies, and the mail with it. */
  expire_time: Fixed<number>;
  create_time: Fixed<number>;
  settle_time: number | null;
  /** Why it is not sent (yet): reply code and enhanced status, never the server's words. */
  reason: string | null;
  /** When it came back, or its reader complained. The first such report is the one that counts. */
  bounce_time: number | null;
}

/**
 * Addresses to which nothing is sent for a while. They are found by a keyed digest, as in `hits`: an address outlives its
 * authenticators here, and the table names nobody.
 */
export interface SuppressionsTable {
  digest: Fixed<string>;
  /** The authenticator whose mail came back, so that an operator can see whom it concerns. Null once that is removed. */
  otp_email_id: string | null;
  /** An enhanced status code (RFC 3463), or `complaint`. */
  status: string;
  /** Who said so: our relay when it was given the mail, a delivery status notification, or the webhook of a provider. */
  source: SuppressionSource;
  /** How often mails came back so far. Each further time lasts longer. */
  count: number;
  /** Of the last time. */
  create_time: number;
  suppressed_until: number;
  /** Until when it is remembered, to be longer the next time. */
  expire_time: number;
}

export type SuppressionSource = "relay" | "notification" | "webhook";

/**
 * What is remembered of a removed authenticator that had failed, so that adding it again does not refill its attempts. It
 * is found by a keyed digest of organization, user and address: the table names nobody.
 */
export interface RemovedOTPEmailsTable {
  digest: Fixed<string>;
  failures: Fixed<number>;
  failure_times: Fixed<string>;
  lock_count: Fixed<number>;
  locked_until: Fixed<number | null>;
  expire_time: Fixed<number>;
}

/** What counts towards limits, such as mails. It too names nobody. */
export interface HitsTable {
  /** A keyed digest of what is limited, such as one address. */
  digest: Fixed<string>;
  /** The start of the slot of time in which they fell. */
  time: Fixed<number>;
  count: number;
  expire_time: Fixed<number>;
}

/** Calls that may be sent again, and what was replied. Never a code. */
export interface IdempotencyKeysTable {
  /** A keyed digest of the principal and its key. */
  digest: Fixed<string>;
  /** Of the method and its message. */
  request_digest: Fixed<string>;
  /** A small JSON object. */
  reply: Fixed<string>;
  expire_time: Fixed<number>;
}

export type EventRow = Selectable<EventsTable>;
/** Without what only its next event is written with. */
export type UserRow = Omit<Selectable<UsersTable>, "previous_event">;
export type OTPEmailRow = Selectable<OTPEmailsTable>;
export type ChallengeRow = Selectable<ChallengesTable>;
export type SuppressionRow = Selectable<SuppressionsTable>;
export type OutboxRow = Selectable<OutboxTable>;
export type NewOutboxRow = Insertable<OutboxTable>;

/** Written once, never updated. */
type Fixed<T> = ColumnType<T, T, never>;
