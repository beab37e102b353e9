import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import type { DetailsSchema } from "../../../gen/countersign/user/v3alpha/details_pb.ts";
import type { Event as EventMessage, EventSchema } from "../../../gen/countersign/user/v3alpha/event_pb.ts";
import { DeliveryState, type OTPEmailSchema } from "../../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { type UserSchema, UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import type {
  CreateUserRequest,
  CreateUserResponse,
  DeactivateUserRequest,
  GetUserByIDRequest,
  ListEventsRequest,
  ListUsersRequest,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { authenticate, authorize, type Caller, denied, hasAny, mayIn } from "./access.ts";
import { attemptsLeft, canonical, clientAddress, isLocked } from "./limits.ts";
import { lastMail } from "./mails.ts";
import {
  day,
  type Event,
  isOpen,
  type OTPEmail,
  Refused,
  retain,
  type StoredReply,
  type User,
  type World,
} from "./world.ts";

const readers = ["user.read", "user.write"] as const;

export function createUser(
  world: World,
  caller: Caller,
  request: CreateUserRequest,
  made: CreateUserResponse | undefined,
  key: KeyUse | undefined,
) {
  authenticate(caller);
  const orgId = request.organization?.org.value ?? "";
  if (!mayIn(caller, ["user.write"], orgId)) throw denied();
  return idempotent(world, caller, key, () => {
    const userId = request.userId ?? freshId(world, made?.userId);
    if (world.users.some((user) => user.userId === userId))
      throw new Refused("AlreadyExists", "USER_ALREADY_EXISTS");
    const before = world.events.filter((event) => event.orgId === orgId && event.userId === userId);
    const user: User = {
      userId,
      orgId,
      displayName: request.displayName,
      state: "active",
      // A user that reuses the id of a deleted user of the same organization continues its count.
      sequence: Math.max(0, ...before.map(({ sequence }) => sequence)),
      changeTime: world.now,
      otpEmails: [],
    };
    world.users.push(user);
    const details = addEvent(world, user, caller, "user.created");
    return { userId, details };
  });
}

export function getUserByID(world: World, caller: Caller, { userId }: GetUserByIDRequest) {
  authenticate(caller);
  const { user } = authorize(world, caller, userId, { anyOf: readers, self: true });
  return { user: showUser(world, user) };
}

/** All users that the caller may see, ordered by organization and id. Pages are concatenated before they are compared. */
export function listUsers(world: World, caller: Caller, { orgId, state, emailAddress }: ListUsersRequest) {
  authenticate(caller);
  if (orgId === undefined ? !hasAny(caller, readers) : !mayIn(caller, readers, orgId)) throw denied();
  const users = world.users.filter(
    (user) =>
      mayIn(caller, readers, user.orgId) &&
      (orgId === undefined || user.orgId === orgId) &&
      (state === UserState.UNSPECIFIED || user.state === states[state as keyof typeof states]) &&
      (emailAddress === undefined ||
        user.otpEmails.some(({ address }) => canonical(address) === canonical(emailAddress))),
  );
  const byName = (a: User, b: User) => compare(a.orgId, b.orgId) || compare(a.userId, b.userId);
  return { users: users.sort(byName).map((user) => showUser(world, user)) };
}

const compare = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);

const states = {
  [UserState.ACTIVE]: "active",
  [UserState.INACTIVE]: "inactive",
  [UserState.LOCKED]: "locked",
} as const;

const transitions = {
  deactivateUser: {
    from: ["active", "locked"],
    to: "inactive",
    event: "user.deactivated",
    refusal: "USER_NOT_ACTIVE",
  },
  reactivateUser: {
    from: ["inactive"],
    to: "active",
    event: "user.reactivated",
    refusal: "USER_NOT_INACTIVE",
  },
  lockUser: { from: ["active"], to: "locked", event: "user.locked", refusal: "USER_NOT_ACTIVE" },
  unlockUser: { from: ["locked"], to: "active", event: "user.unlocked", refusal: "USER_NOT_LOCKED" },
} as const;

export type Transition = keyof typeof transitions;

export function changeState(
  world: World,
  caller: Caller,
  { userId, reason }: Pick<DeactivateUserRequest, "userId" | "reason">,
  transition: Transition,
) {
  authenticate(caller);
  const { user } = authorize(world, caller, userId, { anyOf: ["user.write"] });
  const { from, to, event, refusal } = transitions[transition];
  if (!(from as readonly string[]).includes(user.state)) throw new Refused("FailedPrecondition", refusal);
  user.state = to;
  if (to !== "active") {
    // Challenges are not pending again when the user is reactivated.
    for (const { challenges } of user.otpEmails)
      for (const challenge of challenges) if (isOpen(challenge)) challenge.state = "cancelled";
  }
  return { details: addEvent(world, user, caller, event, {}, reason) };
}

export function deleteUser(
  world: World,
  caller: Caller,
  { userId, reason }: Pick<DeactivateUserRequest, "userId" | "reason">,
) {
  authenticate(caller);
  const { user } = authorize(world, caller, userId, { anyOf: ["user.write"] });
  const details = addEvent(world, user, caller, "user.deleted", {}, reason);
  for (const event of eventsOf(world, user)) if (event.actor === userId) event.clientAddress = "";
  retain(world.users, (other) => other !== user);
  retain(world.mails, (mail) => mail.userId !== userId);
  return { details };
}

/** Latest first. */
export function listEvents(world: World, caller: Caller, { userId }: Pick<ListEventsRequest, "userId">) {
  authenticate(caller);
  const { user } = authorize(world, caller, userId, { anyOf: readers });
  return { events: eventsOf(world, user).reverse().map(showEvent) };
}

/** Filters events by the organizations in which the caller may read. */
export function watchEvents(caller: Caller, events: readonly Event[]): Event[] {
  authenticate(caller);
  if (!hasAny(caller, readers)) throw denied();
  return events.filter(({ orgId }) => mayIn(caller, readers, orgId));
}

const eventsOf = ({ events }: World, { orgId, userId }: User) =>
  events.filter((event) => event.orgId === orgId && event.userId === userId);

/** Adds an event and returns the details of the reply. */
export function addEvent(
  world: World,
  user: User,
  { subject: actor }: Caller,
  type: string,
  data: Event["data"] = {},
  reason = "",
): MessageInitShape<typeof DetailsSchema> {
  const { userId, orgId } = user;
  user.sequence++;
  user.changeTime = world.now;
  const { sequence, changeTime: time } = user;
  world.events.push({ userId, orgId, sequence, type, time, actor, reason, data, clientAddress });
  return showDetails(user);
}

export interface KeyUse {
  readonly key: string;
  /** The method and the message. */
  readonly request: string;
}

/** Returns the same reply for the same key and request, for 24 hours and per principal. Refused calls are not stored. */
export function idempotent<R>(world: World, { subject }: Caller, use: KeyUse | undefined, work: () => R): R {
  if (!use) return work();
  const stored = world.replies.find(
    ({ owner, key, forgetTime }) => owner === subject && key === use.key && forgetTime > world.now,
  );
  if (stored) {
    if (stored.request !== use.request) throw new Refused("FailedPrecondition", "IDEMPOTENCY_KEY_REUSED");
    return stored.reply as R;
  }
  const reply = work();
  const entry: StoredReply = { owner: subject, ...use, reply, forgetTime: world.now + day };
  retain(world.replies, ({ owner, key }) => owner !== subject || key !== use.key);
  world.replies.push(entry);
  return reply;
}

/** The id that the service created, if it is valid and new. */
export function freshId({ ids }: World, made: string | undefined): string {
  if (made === undefined || !/^[1-9][0-9]{0,18}$/.test(made) || ids.has(made)) return "(a new id)";
  ids.add(made);
  return made;
}

function showDetails({ sequence, changeTime, orgId }: User): MessageInitShape<typeof DetailsSchema> {
  return { sequence: BigInt(sequence), changeDate: timestampFromMs(changeTime), resourceOwner: orgId };
}

function showUser(world: World, user: User): MessageInitShape<typeof UserSchema> {
  const { userId, displayName, state, otpEmails } = user;
  return {
    userId,
    displayName,
    state: UserState[state.toUpperCase() as "ACTIVE" | "INACTIVE" | "LOCKED"],
    details: showDetails(user),
    authenticators: { otpEmail: otpEmails.map((otpEmail) => showOTPEmail(world, otpEmail, true)) },
  };
}

export function showOTPEmail(
  world: World,
  otpEmail: OTPEmail,
  mayReadAddress: boolean,
): MessageInitShape<typeof OTPEmailSchema> {
  const { otpEmailId, address, createTime, verifyTime, lastUseTime, failures, attempts } = otpEmail;
  const mail = lastMail(world, otpEmail);
  return {
    otpEmailId,
    address: mayReadAddress ? address : address.replace(/^(.).*@/, "$1***@"),
    isVerified: verifyTime !== undefined,
    createTime: timestampFromMs(createTime),
    verifyTime: timestampOf(verifyTime),
    lastUseTime: timestampOf(lastUseTime),
    failedAttemptsLeft: attemptsLeft(failures, attempts, world.now),
    lockedUntil: isLocked(failures, world.now) ? timestampFromMs(failures.lockedUntil) : undefined,
    lastMail: mail && showMail(mail),
  };
}

export function showMail(mail: NonNullable<ReturnType<typeof lastMail>>) {
  return {
    state: DeliveryState[mail.state.toUpperCase() as "SENT"],
    createTime: timestampFromMs(mail.createTime),
    settleTime: timestampOf("settleTime" in mail ? mail.settleTime : undefined),
  };
}

const timestampOf = (time: number | undefined) => (time === undefined ? undefined : timestampFromMs(time));

export function showEvent(event: Event): MessageInitShape<typeof EventSchema> {
  const { sequence, time, data, ...rest } = event;
  return {
    ...rest,
    type: typeShown(rest.type),
    sequence: BigInt(sequence),
    time: timestampFromMs(time),
    data: { ...data },
  };
}

/** Mails that are due at the same time are settled in any order, so only the number of their events is compared. */
export const typeShown = (type: string) => type.replace(/^mail\..*/, "mail");

/** Removes from events what the model does not predict. */
export function comparable(events: EventMessage[]): EventMessage[] {
  for (const event of events) {
    if (event.type.startsWith("mail.")) Object.assign(event, { type: typeShown(event.type), data: {} });
  }
  return events;
}
