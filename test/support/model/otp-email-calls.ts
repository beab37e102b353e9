import type { SendEmailVerificationCode } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import type {
  AddOTPEmailRequest,
  AddOTPEmailResponse,
  GetOTPEmailRequest,
  ListOTPEmailsRequest,
  RemoveOTPEmailRequest,
  ResendOTPEmailCodeRequest,
  ResendOTPEmailCodeResponse,
  UnlockOTPEmailRequest,
  VerifyOTPEmailRequest,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { authenticate, authorize, type Caller, denied, mayIn, ownHost, requireActive } from "./access.ts";
import {
  canonical,
  fail,
  identityOf,
  isLocked,
  mailWait,
  newFailures,
  requireMail,
  requireUnlocked,
} from "./limits.ts";
import { enqueueCode, enqueueNotices, isAlive, isOver } from "./mails.ts";
import { addEvent, freshId, idempotent, type KeyUse, showOTPEmail } from "./user-calls.ts";
import { type Code, day, type OTPEmail, Refused, retain, settings, type User, type World } from "./world.ts";

const writer = { anyOf: ["user.write"], self: true } as const;
const readers = { anyOf: ["user.read", "user.write", "otp.challenge"], self: true } as const;

export function addOTPEmail(
  world: World,
  caller: Caller,
  { userId, email }: AddOTPEmailRequest,
  made: AddOTPEmailResponse | undefined,
  key: KeyUse | undefined,
) {
  authenticate(caller);
  const { address = "", verification } = email ?? {};
  if (!/^[a-z]+@[a-z]+\.[a-z]+$/i.test(address)) throw invalid("EMAIL_INVALID");
  const delivery = verification?.case ?? "sendCode";
  const urlTemplate = verification?.case === "sendCode" ? checkTemplate(verification.value) : undefined;
  if (verification?.case === "isVerified" && !verification.value) throw invalid("REQUEST_INVALID");
  const checkSelf = () => forbidBypassingMail(delivery, urlTemplate);
  const { user } = authorize(world, caller, userId, { ...writer, checkSelf });

  const { code, ...reply } = idempotent(world, caller, key, () => {
    requireActive(user);
    const present = user.otpEmails.find((other) => canonical(other.address) === canonical(address));
    if (!present && user.otpEmails.length >= settings.otpEmailsMax)
      throw new Refused("FailedPrecondition", "OTP_EMAIL_LIMIT_REACHED");
    if (present?.verifyTime !== undefined) throw new Refused("AlreadyExists", "OTP_EMAIL_ALREADY_EXISTS");

    if (present && delivery !== "isVerified")
      return renewCode(world, caller, user, present, { delivery, urlTemplate, made });
    const failures = present ? present.failures : recall(world, user, address);
    if (delivery !== "isVerified") requireUnlocked(world, user, address, failures, delivery);
    if (delivery === "sendCode") requireMail(world, user, address);
    const otpEmail = present ?? insert(world, user, address, made?.otpEmailId);
    otpEmail.failures = failures;
    forget(world, user, address);
    enqueueNotices(world, user, otpEmail);
    const { otpEmailId } = otpEmail;
    const data = { otp_email_id: otpEmailId, verification: snakeCase(delivery) };
    if (delivery === "isVerified") {
      if (!present) addEvent(world, user, caller, "otp_email.added", data);
      otpEmail.verifyTime = world.now;
      endCode(otpEmail);
      clearFailures(otpEmail);
      return {
        otpEmailId,
        details: addEvent(world, user, caller, "otp_email.verified", data),
        code: undefined,
      };
    }
    const details = addEvent(world, user, caller, "otp_email.added", data);
    const code = startCode(world, otpEmail, made?.verificationCode);
    if (delivery === "sendCode")
      enqueueCode(world, user, otpEmail, { purpose: "enrolment", code, urlTemplate });
    return { otpEmailId, details, code };
  });
  return { ...reply, verificationCode: shownCode(world, user, reply.otpEmailId, delivery, code) };
}

export function resendOTPEmailCode(
  world: World,
  caller: Caller,
  { userId, otpEmailId, verification }: ResendOTPEmailCodeRequest,
  made: ResendOTPEmailCodeResponse | undefined,
  key: KeyUse | undefined,
) {
  authenticate(caller);
  const delivery = verification.case ?? "sendCode";
  const urlTemplate = verification.case === "sendCode" ? checkTemplate(verification.value) : undefined;
  const checkSelf = () => forbidBypassingMail(delivery, urlTemplate);
  const { user } = authorize(world, caller, userId, { ...writer, checkSelf });

  const { code, details } = idempotent(world, caller, key, () => {
    requireActive(user);
    const otpEmail = requireOTPEmail(user, otpEmailId);
    if (otpEmail.verifyTime !== undefined)
      throw new Refused("FailedPrecondition", "OTP_EMAIL_ALREADY_VERIFIED");
    return renewCode(world, caller, user, otpEmail, { delivery, urlTemplate, made });
  });
  return { details, verificationCode: shownCode(world, user, otpEmailId, delivery, code) };
}

/** "The same code while it is valid, otherwise a new one. This does not reset the attempts." */
function renewCode(
  world: World,
  caller: Caller,
  user: User,
  otpEmail: OTPEmail,
  requested: {
    delivery: "sendCode" | "returnCode";
    urlTemplate: string | undefined;
    made: { verificationCode?: string } | undefined;
  },
) {
  const { delivery, urlTemplate, made } = requested;
  const { otpEmailId } = otpEmail;
  requireUnlocked(world, user, otpEmail.address, otpEmail.failures, delivery);
  if (delivery === "sendCode") requireMail(world, user, otpEmail.address);
  const live = isAlive(otpEmail.code, otpEmail.attempts, world.now) ? otpEmail.code : undefined;
  const code = live
    ? learnCode(live, made?.verificationCode)
    : startCode(world, otpEmail, made?.verificationCode);
  const data = { otp_email_id: otpEmailId, verification: snakeCase(delivery), fresh: !live };
  const details = addEvent(world, user, caller, "otp_email.code_requested", data);
  if (delivery === "sendCode")
    enqueueCode(world, user, otpEmail, { purpose: "enrolment", code, urlTemplate });
  return { otpEmailId, details, code };
}

export function verifyOTPEmail(
  world: World,
  caller: Caller,
  { userId, otpEmailId, code: typed }: VerifyOTPEmailRequest,
) {
  authenticate(caller);
  const code = normalize(typed);
  if (!/^[0-9A-HJKMNP-TV-Z]{8}$/.test(code)) throw invalid("CODE_INVALID");
  const { user } = authorize(world, caller, userId, writer);
  requireActive(user);
  const otpEmail = requireOTPEmail(user, otpEmailId);
  if (otpEmail.verifyTime !== undefined) throw new Refused("FailedPrecondition", "CODE_USED");
  const { failures } = otpEmail;
  requireUnlocked(world, user, otpEmail.address, failures);
  if (otpEmail.code && isOver(otpEmail.code, world.now)) endCode(otpEmail);
  if (!otpEmail.code) throw new Refused("FailedPrecondition", "CODE_EXPIRED");
  if (otpEmail.attempts >= settings.attemptsMax)
    throw new Refused(
      "ResourceExhausted",
      "ATTEMPTS_EXHAUSTED",
      mailWait(world, user, otpEmail.address)?.ms ?? 0,
    );

  const data = { otp_email_id: otpEmailId, attempts: otpEmail.attempts + 1 };
  if (code !== otpEmail.code.value) {
    otpEmail.attempts++;
    fail(failures, world.now);
    addEvent(world, user, caller, "otp_email.verify_failed", data);
    if (isLocked(failures, world.now) || otpEmail.attempts >= settings.attemptsMax)
      addEvent(world, user, caller, "otp_email.attempts_exhausted", data);
    throw invalid("CODE_INVALID");
  }
  otpEmail.verifyTime = world.now;
  otpEmail.lastUseTime = world.now;
  endCode(otpEmail);
  clearFailures(otpEmail);
  enqueueNotices(world, user, otpEmail);
  const verified = { otp_email_id: otpEmailId, verification: "code" };
  return { details: addEvent(world, user, caller, "otp_email.verified", verified) };
}

/** In the order in which they were added. Pages are concatenated before they are compared. */
export function listOTPEmails(
  world: World,
  caller: Caller,
  { userId }: Pick<ListOTPEmailsRequest, "userId">,
) {
  authenticate(caller);
  const { user } = authorize(world, caller, userId, readers);
  const mayRead = mayReadAddresses(caller, user);
  return { otpEmails: user.otpEmails.map((otpEmail) => showOTPEmail(world, otpEmail, mayRead)) };
}

export function getOTPEmail(world: World, caller: Caller, { userId, otpEmailId }: GetOTPEmailRequest) {
  authenticate(caller);
  const { user } = authorize(world, caller, userId, readers);
  const otpEmail = requireOTPEmail(user, otpEmailId);
  return { otpEmail: showOTPEmail(world, otpEmail, mayReadAddresses(caller, user)) };
}

function mayReadAddresses(caller: Caller, { userId, orgId }: User): boolean {
  return caller.subject === userId || mayIn(caller, ["user.read", "user.write"], orgId);
}

export function removeOTPEmail(
  world: World,
  caller: Caller,
  { userId, otpEmailId, reason }: Pick<RemoveOTPEmailRequest, "userId" | "otpEmailId" | "reason">,
) {
  authenticate(caller);
  const { user, asSelf } = authorize(world, caller, userId, writer);
  // "A user that is not active cannot remove its own authenticators."
  if (asSelf) requireActive(user);
  const otpEmail = requireOTPEmail(user, otpEmailId);
  retain(user.otpEmails, (other) => other !== otpEmail);
  retain(world.mails, (mail) => mail.otpEmailId !== otpEmailId);
  remember(world, user, otpEmail);
  enqueueNotices(world, user, otpEmail);
  return {
    details: addEvent(world, user, caller, "otp_email.removed", { otp_email_id: otpEmailId }, reason),
  };
}

export function unlockOTPEmail(
  world: World,
  caller: Caller,
  { userId, otpEmailId, reason }: Pick<UnlockOTPEmailRequest, "userId" | "otpEmailId" | "reason">,
) {
  authenticate(caller);
  const { user } = authorize(world, caller, userId, { anyOf: ["user.write"] });
  const otpEmail = requireOTPEmail(user, otpEmailId);
  if (otpEmail.failures.inRow === 0 && otpEmail.attempts === 0)
    throw new Refused("FailedPrecondition", "OTP_EMAIL_NOT_LOCKED");
  // "The code that was guessed at is invalid."
  if (otpEmail.attempts > 0) endCode(otpEmail);
  clearFailures(otpEmail);
  return {
    details: addEvent(world, user, caller, "otp_email.unlocked", { otp_email_id: otpEmailId }, reason),
  };
}

/** "Wrong attempts and a lock still count if the address is added again", for a day. */
function remember(world: World, user: User, { address, failures }: OTPEmail): void {
  if (failures.inRow === 0) return;
  forget(world, user, address);
  const forgetTime = Math.max(world.now, failures.lockedUntil) + day;
  world.removed.push({ key: identityOf(user, address), failures, forgetTime });
}

function recall({ removed, now }: World, user: User, address: string) {
  const key = identityOf(user, address);
  return removed.find((other) => other.key === key && other.forgetTime > now)?.failures ?? newFailures();
}

function forget({ removed }: World, user: User, address: string): void {
  const key = identityOf(user, address);
  retain(removed, (other) => other.key !== key);
}

function insert(world: World, user: User, address: string, madeId: string | undefined): OTPEmail {
  const otpEmail: OTPEmail = {
    otpEmailId: freshId(world, madeId),
    address,
    createTime: world.now,
    verifyTime: undefined,
    lastUseTime: undefined,
    code: undefined,
    attempts: 0,
    failures: newFailures(),
    challenges: [],
    settled: undefined,
    oldCodes: [],
  };
  user.otpEmails.push(otpEmail);
  return otpEmail;
}

function startCode(world: World, otpEmail: OTPEmail, value: string | undefined): Code {
  endCode(otpEmail);
  otpEmail.attempts = 0;
  otpEmail.code = { value, expireTime: world.now + settings.enrolmentTtl };
  return otpEmail.code;
}

function endCode(otpEmail: OTPEmail): void {
  if (otpEmail.code) otpEmail.oldCodes.push(otpEmail.code);
  otpEmail.code = undefined;
}

export function clearFailures(otpEmail: OTPEmail): void {
  otpEmail.attempts = 0;
  otpEmail.failures = newFailures();
}

/** Sets the value of a code when it is first shown. */
export function learnCode(code: Code, value: string | undefined): Code {
  code.value ??= value;
  return code;
}

/** A `return_code` reply shows the code while it is valid, also if the call is repeated. */
function shownCode(
  { now }: World,
  { otpEmails }: User,
  otpEmailId: string,
  delivery: string,
  code: Code | undefined,
): string | undefined {
  const otpEmail = otpEmails.find((other) => other.otpEmailId === otpEmailId);
  if (delivery !== "returnCode" || !code || otpEmail?.code !== code) return undefined;
  return isAlive(code, otpEmail.attempts, now) ? (code.value ?? "(a code)") : undefined;
}

/** "Spaces, dashes and case are ignored, O is read as 0, and I and L as 1." */
function normalize(typed: string): string {
  return typed.replace(/[ -]/g, "").toUpperCase().replaceAll("O", "0").replace(/[IL]/g, "1");
}

export function requireOTPEmail({ otpEmails }: User, otpEmailId: string): OTPEmail {
  const otpEmail = otpEmails.find((other) => other.otpEmailId === otpEmailId);
  if (!otpEmail) throw new Refused("NotFound", "OTP_EMAIL_NOT_FOUND");
  return otpEmail;
}

/** "Must be `https` (`http` for loopback hosts only)." */
export function checkTemplate({
  urlTemplate,
}: Pick<SendEmailVerificationCode, "urlTemplate">): string | undefined {
  if (urlTemplate !== undefined && !urlTemplate.startsWith("https://")) throw invalid("URL_TEMPLATE_INVALID");
  return urlTemplate;
}

/** Users can only have their codes mailed, with a link to a host that the operator allows. */
export function forbidBypassingMail(delivery: string, urlTemplate: string | undefined): void {
  if (delivery !== "sendCode") throw denied();
  if (urlTemplate !== undefined && !urlTemplate.startsWith(`https://${ownHost}/`)) throw denied();
}

export const invalid = (reason: string) => new Refused("InvalidArgument", reason);

export const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
