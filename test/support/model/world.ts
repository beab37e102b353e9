/**
 * All that the service has to remember, as plain data: the reference that it is compared with. Written from design.md, the
 * proto comments and the README. Times are milliseconds since the epoch.
 */
export interface World {
  now: number;
  readonly users: User[];
  /** The events of all users, oldest first. They outlive the user. */
  readonly trail: Event[];
  readonly hits: Hit[];
  /** What removed authenticators have failed. */
  readonly removed: Removed[];
  readonly kept: KeptReply[];
  /** Mails that wait, oldest first. */
  readonly mails: Mail[];
  relayIsUp: boolean;
  mailCount: number;
  /** Every id of an authenticator or a challenge that there ever was. */
  readonly ids: Set<string>;
  /** When what has expired is next forgotten for good. */
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

/** One code. The value is what only the service can know: undefined until it was returned, or a mail brought it. */
export interface Code {
  value: string | undefined;
  expireTime: number;
}

/** Wrong codes of an authenticator, over all its codes. */
export interface Failures {
  inRow: number;
  /** Those of the last hour. */
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
  /** Wrong attempts at the code. */
  attempts: number;
  failures: Failures;
  readonly challenges: Challenge[];
  /** What came of the newest mail that does not wait any more. */
  settled: SettledMail | undefined;
  /** Codes that were replaced. */
  readonly oldCodes: Code[];
}

export interface Challenge {
  readonly challengeId: string;
  readonly code: Code;
  readonly audience: string;
  readonly nonce: string | undefined;
  readonly createTime: number;
  readonly forgetTime: number;
  /** `expired`: and somebody has tried it since. It stays so if the clock is set back. */
  state: "pending" | "passed" | "failed" | "replaced" | "cancelled" | "expired";
  attempts: number;
  /** What came of its mail, once that does not wait any more. */
  settled: SettledMail | undefined;
}

/** Whether a newer one, or its user, can still end it. */
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

/** One mail, or one notice, that a limit counts. */
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

/** What an Idempotency-Key stands for. */
export interface KeptReply {
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
  /** Undefined: a notice. */
  readonly code: Code | undefined;
  readonly urlTemplate: string | undefined;
  readonly createTime: number;
  readonly expireTime: number;
  /** When it is tried next. The service chooses that. */
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

/** The settings of the service under test: some are lower than by default, so that they are met. */
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
    trail: [],
    hits: [],
    removed: [],
    kept: [],
    mails: [],
    relayIsUp: true,
    mailCount: 0,
    ids: new Set(),
    sweepTime: now + minute,
  };
}

/** How a call is refused. */
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

/** Moves the clock. What has expired is forgotten for good about once a minute, and does not come back with the clock. */
export function moveTo(world: World, time: number): void {
  world.now = time;
  if (time >= world.sweepTime) sweep(world);
}

/** What the service also does as it starts. */
export function sweep(world: World): void {
  const isKept = ({ forgetTime }: { forgetTime: number }) => forgetTime > world.now;
  keepOnly(world.hits, isKept);
  keepOnly(world.removed, isKept);
  keepOnly(world.kept, isKept);
  for (const { otpEmails } of world.users)
    for (const { challenges } of otpEmails) keepOnly(challenges, isKept);
  world.sweepTime = world.now + minute;
}

export function keepOnly<T>(items: T[], isKept: (item: T) => boolean): void {
  items.splice(0, items.length, ...items.filter(isKept));
}
