import { canonical, consumeMailLimits, consumeNoticeLimit, isLocked } from "./limits.ts";
import {
  type Challenge,
  type Code,
  day,
  type Mail,
  minute,
  type OTPEmail,
  retain,
  type SettledMail,
  settings,
  type User,
  type World,
} from "./world.ts";

/** Also true if the code would be valid for longer than codes are: then the clock was set back. */
export const isOver = ({ expireTime }: Code, now: number): boolean =>
  expireTime <= now || expireTime > now + 11 * minute;

export const isAlive = (code: Code | undefined, attempts: number, now: number): code is Code =>
  code !== undefined && !isOver(code, now) && attempts < settings.attemptsMax;

/** Queues the mail of a code, unless one with the same code and link is queued. Replaces other mails of the authenticator. */
export function enqueueCode(
  world: World,
  user: User,
  otpEmail: OTPEmail,
  mail: Pick<Mail, "purpose" | "urlTemplate"> & { code: Code },
): void {
  consumeMailLimits(world, user, otpEmail.address);
  const { otpEmailId } = otpEmail;
  const isSame = (other: Mail) =>
    other.otpEmailId === otpEmailId && other.purpose === mail.purpose && other.code === mail.code;
  const waiting = world.mails.find(isSame);
  if (waiting?.urlTemplate === mail.urlTemplate && waiting) return;
  retain(world.mails, (other) => other.otpEmailId !== otpEmailId || other.purpose !== mail.purpose);
  push(world, user, otpEmail, { ...mail, expireTime: mail.code.expireTime });
}

/** Queues notices to the other verified addresses of the user. */
export function enqueueNotices(world: World, user: User, changed: { otpEmailId: string }): void {
  const others = user.otpEmails.filter(
    ({ otpEmailId, verifyTime }) => otpEmailId !== changed.otpEmailId && verifyTime !== undefined,
  );
  if (others.length === 0 || !consumeNoticeLimit(world, user)) return;
  const notice = {
    purpose: "notice",
    urlTemplate: undefined,
    code: undefined,
    expireTime: world.now + day,
  } as const;
  for (const other of others) push(world, user, other, notice);
}

function push(
  world: World,
  { userId }: User,
  { otpEmailId }: OTPEmail,
  mail: Pick<Mail, "purpose" | "urlTemplate" | "code" | "expireTime">,
): void {
  const { now } = world;
  const number = world.mailCount++;
  world.mails.push({ ...mail, userId, otpEmailId, number, createTime: now, dueTime: now, isDeferred: false });
}

/** A mail that the relay must receive. */
export interface Arrival {
  readonly to: string;
  readonly otpEmailId: string;
  readonly code: Code | undefined;
  /** Must be in the mail, with `{{.Code}}` replaced by the code. */
  readonly link: string | undefined;
  readonly purpose: Mail["purpose"];
}

/** Settles all mails that are due. */
export function deliver(world: World): Arrival[] {
  const arrivals: Arrival[] = [];
  for (const mail of world.mails.filter(({ dueTime }) => dueTime <= world.now)) {
    const user = world.users.find(({ userId }) => userId === mail.userId);
    const otpEmail = user?.otpEmails.find(({ otpEmailId }) => otpEmailId === mail.otpEmailId);
    if (!user || !otpEmail) throw new Error("a mail outlived its authenticator");
    if (mail.expireTime <= world.now) settle(world, user, otpEmail, mail, "failed");
    else if (!isWanted(world, user, otpEmail, mail)) settle(world, user, otpEmail, mail, "suppressed");
    else if (!world.relayIsUp) mail.isDeferred = true;
    else {
      settle(world, user, otpEmail, mail, "sent");
      arrivals.push({
        to: canonical(otpEmail.address),
        otpEmailId: mail.otpEmailId,
        code: mail.code,
        link: mail.urlTemplate
          ?.replaceAll("{{.UserID}}", user.userId)
          .replaceAll("{{.OTPEmailID}}", otpEmail.otpEmailId),
        purpose: mail.purpose,
      });
    }
  }
  return arrivals;
}

/** Whether its code was not used or replaced and its user is active, see DELIVERY_STATE_SUPPRESSED. */
function isWanted({ now }: World, user: User, otpEmail: OTPEmail, mail: Mail): boolean {
  // Notices are also sent to users that are locked out.
  if (mail.purpose === "notice") return true;
  if (user.state !== "active") return false;
  if (mail.purpose === "enrolment")
    return mail.code === otpEmail.code && isAlive(otpEmail.code, otpEmail.attempts, now);
  const challenge = otpEmail.challenges.find(({ code }) => code === mail.code);
  return (
    challenge?.state === "pending" &&
    isAlive(challenge.code, challenge.attempts, now) &&
    !isLocked(otpEmail.failures, now)
  );
}

/** Takes a mail out of the queue and adds its event. */
export function settle(
  world: World,
  user: User,
  otpEmail: OTPEmail,
  mail: Mail,
  state: SettledMail["state"],
): void {
  retain(world.mails, (other) => other !== mail);
  user.sequence++;
  user.changeTime = world.now;
  const { userId, orgId, sequence, changeTime: time } = user;
  const event = {
    userId,
    orgId,
    sequence,
    time,
    actor: "urn:countersign:courier",
    reason: "",
    clientAddress: "",
  };
  world.events.push({ ...event, type: `mail.${state}`, data: {} });
  const { number, createTime } = mail;
  const settled = { number, state, createTime, settleTime: world.now };
  const challenge = otpEmail.challenges.find(({ code }) => code === mail.code);
  if (challenge) challenge.settled = settled;
  if (otpEmail.settled && otpEmail.settled.number > number) return;
  otpEmail.settled = settled;
}

/** The state of the last mail. */
export function lastMail(world: World, { otpEmailId, settled }: OTPEmail) {
  const waiting = world.mails.findLast((mail) => mail.otpEmailId === otpEmailId);
  return waiting && waiting.number > (settled?.number ?? -1) ? stateOf(waiting) : settled;
}

/** The state of the mail of a challenge. */
export function challengeMail({ mails }: World, { code, settled }: Challenge) {
  const waiting = mails.find((mail) => mail.code === code);
  return waiting ? stateOf(waiting) : settled;
}

function stateOf({ isDeferred, createTime }: Mail) {
  return { state: isDeferred ? ("deferred" as const) : ("queued" as const), createTime };
}
