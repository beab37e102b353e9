import {
  day,
  type Failures,
  type Hit,
  hour,
  minute,
  Refused,
  settings,
  type User,
  type World,
} from "./world.ts";

export const clientAddress = "127.0.0.1";

/** The same for all spellings of a mailbox. */
export const canonical = (address: string) => address.toLowerCase();

/** Identifies an authenticator for limits: removing and adding it again does not change it. */
export const identityOf = ({ orgId, userId }: User, address: string) =>
  `${orgId} ${userId} ${canonical(address)}`;

/** How long until there are fewer than `limit` hits in the window. */
function waitFor({ now, hits }: World, key: string, limit: number, windowMs: number, since = 0): number {
  const times = hits.filter((hit) => hit.key === key && hit.time >= since).map(({ time }) => time);
  const oldest = times.sort((a, b) => b - a)[limit - 1];
  return oldest === undefined ? 0 : Math.max(0, oldest + windowMs - now);
}

/** Which limit delays a mail to the address, and for how long. */
export function mailWait(
  world: World,
  user: User,
  address: string,
  /** Of a login: mails up to then count for the day alone. */
  verifyTime?: number,
): { reason: string; ms: number } | undefined {
  const otpEmail = `otp_email ${identityOf(user, address)}`;
  const sendLimit = "SEND_LIMIT_REACHED";
  const waits = [
    { reason: "RESEND_TOO_SOON", ms: waitFor(world, otpEmail, 1, settings.mailInterval, verifyTime) },
    { reason: sendLimit, ms: waitFor(world, otpEmail, settings.mailsPerHourMax, hour, verifyTime) },
    { reason: sendLimit, ms: waitFor(world, otpEmail, settings.mailsPerDayMax, day) },
    {
      reason: sendLimit,
      ms: waitFor(world, `address ${canonical(address)}`, settings.addressMailsPerHourMax, hour),
    },
    { reason: sendLimit, ms: waitFor(world, "client", settings.clientMailsPerHourMax, hour) },
  ];
  const longest = waits.reduce((a, b) => (b.ms > a.ms ? b : a));
  return longest.ms > 0 ? longest : undefined;
}

export function requireMail(world: World, user: User, address: string, verifyTime?: number): void {
  const wait = mailWait(world, user, address, verifyTime);
  if (wait) throw new Refused("ResourceExhausted", wait.reason, wait.ms);
}

export function consumeMailLimits(world: World, user: User, address: string): void {
  const { now } = world;
  // The limit of a client address counts whole minutes: each counts until its last millisecond is out of the window.
  const endOfMinute = now - (now % minute) + minute - 1;
  world.hits.push(
    { key: `otp_email ${identityOf(user, address)}`, time: now, forgetTime: now + day },
    { key: `address ${canonical(address)}`, time: now, forgetTime: now + hour },
    { key: "client", time: endOfMinute, forgetTime: endOfMinute + hour },
  );
}

/** Returns whether the limit allows notices about another change. */
export function consumeNoticeLimit(world: World, { orgId, userId }: User): boolean {
  const key = `notices ${orgId} ${userId}`;
  if (waitFor(world, key, settings.noticesPerDayMax, day) > 0) return false;
  const hit: Hit = { key, time: world.now, forgetTime: world.now + day };
  world.hits.push(hit);
  return true;
}

export const newFailures = (): Failures => ({ inRow: 0, times: [], lockCount: 0, lockedUntil: 0 });

const inLastHour = ({ times }: Failures, now: number) => times.filter((time) => time > now - hour);

/** Counts a wrong code. */
export function fail(failures: Failures, now: number): void {
  failures.inRow++;
  // Failures that have left the window are dropped, so they don't come back if the clock is set back.
  failures.times = [...inLastHour(failures, now), now].slice(-settings.attemptsPerHourMax);
  if (failures.inRow >= settings.attemptsInRowMax) failures.lockedUntil = now + settings.lockMax;
  else if (failures.times.length >= settings.attemptsPerHourMax)
    failures.lockedUntil = now + Math.min(settings.lockMax, settings.lockMin * 2 ** failures.lockCount);
  else return;
  failures.lockCount++;
}

export const isLocked = ({ lockedUntil }: Failures, now: number) => lockedUntil > now;

/** A retry after the returned time must succeed: with a new code, which needs a mail. */
export function requireUnlocked(
  world: World,
  user: User,
  address: string,
  { lockedUntil }: Failures,
  delivery: "sendCode" | "returnCode" = "sendCode",
  verifyTime?: number,
): void {
  if (lockedUntil <= world.now) return;
  const mailMs = delivery === "sendCode" ? (mailWait(world, user, address, verifyTime)?.ms ?? 0) : 0;
  throw new Refused("ResourceExhausted", "ATTEMPTS_EXHAUSTED", Math.max(lockedUntil - world.now, mailMs));
}

/** The number of wrong codes that are left. */
export function attemptsLeft(failures: Failures, attempts: number, now: number): number {
  if (isLocked(failures, now)) return 0;
  const atCode = settings.attemptsMax - (attempts >= settings.attemptsMax ? 0 : attempts);
  const atOTPEmail = Math.min(
    settings.attemptsPerHourMax - inLastHour(failures, now).length,
    settings.attemptsInRowMax - failures.inRow,
  );
  // At the limit, each further wrong code locks.
  return Math.min(atCode, Math.max(1, atOTPEmail));
}
