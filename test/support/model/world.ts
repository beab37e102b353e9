/**
 * The state of the model: everything that the service has to remember, as plain data. The model is written from the
 * proto comments and the documentation, not from the code. Times are milliseconds since the epoch.
 */
export interface World {
  now: number;
  readonly users: User[];
  /** The events of all users, oldest first. Kept after a user is deleted. */
  readonly events: Event[];
  readonly hits: Hit[];
  /** The failures of removed authenticators. */
  readonly removed: Removed[];
  readonly replies: StoredReply[];
  /** The queued mails, oldest first. */
  readonly mails: Mail[];
  relayIsUp: boolean;
  mailCount: number;
  /** All ids of authenticators and challenges so far. */
  readonly ids: Set<string>;
  /** When expired data is deleted next. */
  sweepTime: number;
}

export type UserState = "active" | "inactive" | "locked";

export interface User {
  readonly userId: string;
  readonly orgId: string;
  readonly displayName: string | undefined;
  state: UserState;
  sequence: number;
  changeTime: number;
  /** In the order in which they were added. */
  readonly otpEmails: OTPEmail[];
}

/** A code. Its value is undefined until a reply or a mail shows it. */
export interface Code {
  value: string | undefined;
  expireTime: number;
}

/** The wrong codes of an authenticator, for all its codes together. */
export interface Failures {
  inRow: number;
  /** In the last hour. */
  times: number[];
  lockCount: number;
  lockedUntil: number;
}

export interface OTPEmail {
  readonly otpEmailId: string;
  readonly address: string;
  readonly createTime: number;
  verifyTime: number | undefined;
  lastUseTime: number | undefined;
  code: Code | undefined;
  /** Wrong attempts for the current code. */
  attempts: number;
  failures: Failures;
  readonly challenges: Challenge[];
  /** The outcome of the newest mail that is not queued any more. */
  settled: SettledMail | undefined;
  readonly oldCodes: Code[];
}

export interface Challenge {
  readonly challengeId: string;
  readonly code: Code;
  readonly audience: string;
  readonly nonce: string | undefined;
  readonly createTime: number;
  readonly forgetTime: number;
  /** `expired` once it was tried after its end. It stays so if the clock is set back. */
  state: "pending" | "passed" | "failed" | "replaced" | "cancelled" | "expired";
  attempts: number;
  /** The outcome of its mail, if that is not queued any more. */
  settled: SettledMail | undefined;
}

/** Whether a newer challenge or the user can still end it. */
export const isOpen = ({ state }: Challenge) => state === "pending" || state === "expired";

export interface Event {
  readonly userId: string;
  readonly orgId: string;
  readonly sequence: number;
  readonly type: string;
  readonly time: number;
  readonly actor: string;
  readonly reason: string;
  readonly data: Readonly<Record<string, string | number | boolean>>;
  clientAddress: string;
}

/** A mail or notice that is counted by a limit. */
export interface Hit {
  readonly key: string;
  readonly time: number;
  readonly forgetTime: number;
}

export interface Removed {
  readonly key: string;
  readonly failures: Failures;
  readonly forgetTime: number;
}

/** The stored reply of an Idempotency-Key. */
export interface StoredReply {
  readonly owner: string;
  readonly key: string;
  readonly request: string;
  readonly reply: unknown;
  readonly forgetTime: number;
}

export interface Mail {
  readonly number: number;
  readonly purpose: "enrolment" | "login" | "notice";
  readonly userId: string;
  readonly otpEmailId: string;
  /** Undefined for a notice. */
  readonly code: Code | undefined;
  readonly urlTemplate: string | undefined;
  readonly createTime: number;
  readonly expireTime: number;
  /** The next attempt, which the service chooses. */
  dueTime: number;
  isDeferred: boolean;
}

export interface SettledMail {
  readonly number: number;
  readonly state: "sent" | "failed" | "suppressed";
  readonly createTime: number;
  readonly settleTime: number;
}

export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

/** The settings of the service under test. Some limits are lower than by default, so that they are reached. */
export const settings = {
  otpEmailsMax: 3,
  attemptsMax: 5,
  attemptsPerHourMax: 10,
  attemptsInRowMax: 14,
  lockMin: 5 * minute,
  lockMax: day,
  enrolmentTtl: 10 * minute,
  loginTtl: 5 * minute,
  mailInterval: minute,
  mailsPerHourMax: 5,
  mailsPerDayMax: 8,
  addressMailsPerHourMax: 5,
  clientMailsPerHourMax: 15,
  noticesPerDayMax: 6,
  audiences: ["https://app.example.com", "https://shop.example.com"],
  publicUrl: "https://otp.example.com",
};

export function makeWorld(now: number): World {
  return {
    now,
    users: [],
    events: [],
    hits: [],
    removed: [],
    replies: [],
    mails: [],
    relayIsUp: true,
    mailCount: 0,
    ids: new Set(),
    sweepTime: now + minute,
  };
}

/** Thrown by the model if a call must be refused. */
export class Refused {
  readonly code: string;
  readonly reason: string;
  /** Seconds. */
  readonly retryAfter: number | undefined;

  constructor(code: string, reason: string, waitMs?: number) {
    this.code = code;
    this.reason = reason;
    this.retryAfter = waitMs === undefined ? undefined : Math.max(1, Math.ceil(waitMs / second));
  }
}

/** Moves the clock. Expired data is deleted once a minute, and does not come back if the clock is set back. */
export function moveTo(world: World, time: number): void {
  world.now = time;
  if (time >= world.sweepTime) sweep(world);
}

/** Deletes expired data. The service also does so when it starts. */
export function sweep(world: World): void {
  const isKept = ({ forgetTime }: { forgetTime: number }) => forgetTime > world.now;
  retain(world.hits, isKept);
  retain(world.removed, isKept);
  retain(world.replies, isKept);
  for (const { otpEmails } of world.users) for (const { challenges } of otpEmails) retain(challenges, isKept);
  world.sweepTime = world.now + minute;
}

export function retain<T>(items: T[], isKept: (item: T) => boolean): void {
  items.splice(0, items.length, ...items.filter(isKept));
}
