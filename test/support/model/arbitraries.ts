import type { DescMessage, DescMethodUnary, MessageInitShape } from "@bufbuild/protobuf";
import fc, { type Arbitrary } from "fast-check";
import { ChallengeService } from "../../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import { UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import { UserService } from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { protocols } from "../app.ts";
import type { Caller, CallerName } from "./access.ts";
import {
  cancelOTPEmailChallenge,
  createOTPEmailChallenge,
  getOTPEmailChallenge,
  verifyOTPEmailChallenge,
} from "./challenge-calls.ts";
import {
  addOTPEmail,
  getOTPEmail,
  listOTPEmails,
  removeOTPEmail,
  resendOTPEmailCode,
  unlockOTPEmail,
  verifyOTPEmail,
} from "./otp-email-calls.ts";
import {
  againStep,
  type By,
  callStep,
  clockStep,
  listStep,
  type Model,
  relayStep,
  restartStep,
  type Step,
} from "./steps.ts";
import {
  changeState,
  comparable,
  createUser,
  deleteUser,
  getUserByID,
  listEvents,
  listUsers,
  type Transition,
} from "./user-calls.ts";
import { watchStep } from "./watch.ts";
import {
  type Code,
  day,
  hour,
  minute,
  type OTPEmail,
  second,
  settings,
  type User,
  type World,
} from "./world.ts";

const users = UserService.method;
const challenges = ChallengeService.method;

const protocol = fc.constantFrom(...protocols);
const userId = weighted<string>([6, "u1"], [3, "u2"], [1, "u3"]);
const orgId = fc.constantFrom("o1", "o2");
const address = weighted<string>(
  [4, "mini@mouse.com"],
  [1, "MINI@Mouse.com"],
  [3, "daisy@duck.com"],
  [2, "pluto@mouse.com"],
  [1, "goofy@goof.io"],
  [1, "not an address"],
);
const reason = fc.option(fc.constantFrom("ticket 4711", "because"), { nil: undefined, freq: 2 });
const pageSize = fc.constantFrom(0, 1, 2, 3, 7, 100);
const template = fc.option(
  fc.constantFrom(
    "https://otp.example.com/v?u={{.UserID}}&c={{.Code}}",
    "https://elsewhere.example.net/v?i={{.OTPEmailID}}&c={{.Code}}",
    "http://elsewhere.example.net/v",
  ),
  { nil: undefined, freq: 2 },
);
const sendCode = template.map((urlTemplate) => ({ case: "sendCode", value: { urlTemplate } }) as const);
const returnCode = fc.constant({ case: "returnCode", value: {} } as const);
const byDefault = fc.constant({ case: undefined } as const);
const delivery = fc.oneof(
  { weight: 3, arbitrary: returnCode },
  { weight: 3, arbitrary: sendCode },
  { weight: 2, arbitrary: byDefault },
);
const verification = fc.oneof(
  { weight: 16, arbitrary: delivery },
  { weight: 6, arbitrary: fc.constant({ case: "isVerified", value: true } as const) },
  { weight: 1, arbitrary: fc.constant({ case: "isVerified", value: false } as const) },
);

const manager = by([8, "admin"], [4, "self"], [2, "all"], [1, "adminOfO1"], [1, "adminOfO2"]);
const challenger = by([6, "challenger"], [5, "self"], [3, "all"], [1, "challengerOfO2"], [1, "admin"]);

/** Mostly these callers, and sometimes others. */
function by(...usual: (readonly [number, CallerName])[]): Arbitrary<By> {
  const caller = weighted<CallerName>(
    ...usual,
    ...(["reader", "readerOfO1", "u1", "noPermission", "expired", "anonymous", "challenger"] as const).map(
      (name) => [0.25, name] as const,
    ),
  );
  return fc.record({ caller, protocol });
}

function keyed(who: Arbitrary<By>): Arbitrary<By> {
  const key = fc.option(fc.constantFrom("k1", "k2", "k3"), { nil: undefined, freq: 2 });
  const alsoOver = fc.option(protocol, { nil: undefined, freq: 1 });
  return fc.tuple(who, key, alsoOver).map(([by, key, alsoOver]) => ({ ...by, key, alsoOver }));
}

/** Mostly an authenticator of this kind, or else another one, one of another user, a removed one, or none. */
function otpEmailThat(isMeant: (otpEmail: OTPEmail) => boolean) {
  return fc.tuple(fc.nat(), fc.nat(19)).map(([nth, kind]) => (world: World, userId: string): string => {
    const own = otpEmailsOf(world, userId);
    const meant = own.filter(isMeant);
    const some = kind > 2 && meant.length > 0 ? meant : own;
    if (kind > 0 && some.length > 0) return some[nth % some.length]!.otpEmailId;
    const ids = [...world.ids, "123", "0", "none"];
    return ids[nth % ids.length]!;
  });
}

const isPending = ({ verifyTime }: OTPEmail) => verifyTime === undefined;
const hasCode = ({ code }: OTPEmail) => code !== undefined;
const isVerified = ({ verifyTime }: OTPEmail) => verifyTime !== undefined;
const hasFailed = ({ failures }: OTPEmail) => failures.inRow > 0;
const hasChallenge = ({ challenges }: OTPEmail) => challenges.some(({ state }) => state === "pending");

const challenge = fc
  .tuple(fc.nat(), fc.nat(19))
  .map(([nth, kind]) => (world: World, userId: string): { otpEmailId: string; challengeId: string } => {
    const all = otpEmailsOf(world, userId).flatMap(({ otpEmailId, challenges }) =>
      challenges.map(({ challengeId, state }) => ({ otpEmailId, challengeId, state })),
    );
    const pending = all.filter(({ state }) => state === "pending");
    const some = kind < 14 && pending.length > 0 ? pending : all;
    const { otpEmailId, challengeId } = some[nth % some.length] ?? { otpEmailId: "1", challengeId: "2" };
    const ids = [...world.ids];
    if (kind === 19 && ids.length > 0) return { otpEmailId, challengeId: ids[nth % ids.length]! };
    return { otpEmailId, challengeId };
  });

/** The code to enter. */
type Guess = (world: World, right: Code | undefined, length: number) => string;

const guess: Arbitrary<Guess> = weighted<Guess>(
  [6, (_world, right, length) => right?.value ?? wrong(length)],
  [2, (_world, right, length) => spelled(right?.value ?? wrong(length))],
  [9, (_world, _right, length) => wrong(length)],
  [2, (world, right, length) => otherCode(world, right, length, -1)],
  [2, (world, right, length) => otherCode(world, right, length, 0)],
  [1, () => "12"],
);

const wrong = (length: number) => "7".repeat(length);

const spelled = (code: string) =>
  ` ${code.slice(0, 3)}-${code.slice(3)}`.toLowerCase().replace(/0/, code.length === 8 ? "o" : "0");

/** A replaced code, or one of another authenticator. */
function otherCode(world: World, right: Code | undefined, length: number, nth: number): string {
  const codes = world.users
    .flatMap(({ otpEmails }) => otpEmails)
    .flatMap(({ code, oldCodes, challenges }) => [code, ...oldCodes, ...challenges.map((c) => c.code)]);
  const values = codes.filter((code) => code !== right).map((code) => code?.value ?? "");
  return values.filter((value) => value.length === length).at(nth) ?? wrong(length);
}

function otpEmailsOf({ users }: World, userId: string): OTPEmail[] {
  return users.find((user) => user.userId === userId)?.otpEmails ?? [];
}

/** A call for a user. Skipped most of the time if it is not useful in the state of the user. */
function call<I extends DescMessage, O extends DescMessage, P>(
  method: DescMethodUnary<I, O>,
  who: Arbitrary<By>,
  parts: Arbitrary<P>,
  request: (world: World, userId: string, parts: P) => MessageInitShape<I>,
  model: Model<I, O>,
  isUseful: (user: User | undefined) => boolean,
  howOften: Arbitrary<number> = fc.constant(1),
): Arbitrary<Step> {
  return fc.tuple(who, userId, parts, fc.nat(24), howOften).map(([by, userId, parts, odd, times]) => {
    const check = ({ users }: World) => odd === 0 || isUseful(users.find((user) => user.userId === userId));
    return callStep(method, by, (world) => request(world, userId, parts), model, { check, times });
  });
}

const isActive = (user: User | undefined) => user?.state === "active";
const has = (isMeant: (otpEmail: OTPEmail) => boolean) => (user: User | undefined) =>
  user?.state === "active" && user.otpEmails.some(isMeant);

const organization = (orgId: string) => ({ org: { case: "orgId", value: orgId } as const });

const nothing = fc.constant(undefined);

/** Codes are guessed several times in a row. */
const howOften = weighted([3, 1], [1, 3], [2, 5]);

const create: Arbitrary<Step> = call(
  users.createUser,
  keyed(by([8, "admin"], [2, "adminOfO1"], [2, "adminOfO2"])),
  fc.record({
    orgId,
    isNamed: fc.nat(9),
    displayName: fc.option(fc.constant("Mini Mouse"), { nil: undefined }),
  }),
  (_world, userId, { orgId, isNamed, displayName }) => ({
    userId: isNamed > 0 ? userId : undefined,
    organization: organization(orgId),
    displayName,
  }),
  createUser,
  (user) => user === undefined,
);

const add = call(
  users.addOTPEmail,
  keyed(manager),
  fc.record({ address, verification }),
  (_world, userId, email) => ({ userId, email }),
  addOTPEmail,
  isActive,
);

const verify = call(
  users.verifyOTPEmail,
  manager,
  fc.record({ otpEmail: otpEmailThat(hasCode), guess }),
  (world, userId, { otpEmail, guess }) => {
    const otpEmailId = otpEmail(world, userId);
    const right = otpEmailsOf(world, userId).find((other) => other.otpEmailId === otpEmailId)?.code;
    return { userId, otpEmailId, code: guess(world, right, 8) };
  },
  verifyOTPEmail,
  has(hasCode),
  howOften,
);

const resend = call(
  users.resendOTPEmailCode,
  keyed(manager),
  fc.record({ otpEmail: otpEmailThat(isPending), delivery }),
  (world, userId, { otpEmail, delivery: verification }) => ({
    userId,
    otpEmailId: otpEmail(world, userId),
    verification,
  }),
  resendOTPEmailCode,
  has(isPending),
);

const get = call(
  users.getOTPEmail,
  by([4, "admin"], [2, "self"], [2, "challenger"], [2, "challengerOfO2"], [2, "reader"]),
  otpEmailThat(() => true),
  (world, userId, otpEmail) => ({ userId, otpEmailId: otpEmail(world, userId) }),
  getOTPEmail,
  has(() => true),
);

const remove = call(
  users.removeOTPEmail,
  manager,
  fc.record({ otpEmail: otpEmailThat(hasFailed), reason }),
  (world, userId, { otpEmail, reason }) => ({ userId, otpEmailId: otpEmail(world, userId), reason }),
  removeOTPEmail,
  has(() => true),
);

const unlock = call(
  users.unlockOTPEmail,
  manager,
  fc.record({ otpEmail: otpEmailThat(hasFailed), reason }),
  (world, userId, { otpEmail, reason }) => ({ userId, otpEmailId: otpEmail(world, userId), reason }),
  unlockOTPEmail,
  has(hasFailed),
);

const getUser = call(
  users.getUserByID,
  by([4, "admin"], [2, "self"], [2, "reader"]),
  nothing,
  (_world, userId) => ({ userId }),
  getUserByID,
  (user) => user !== undefined,
);

const change = by([8, "admin"], [1, "adminOfO1"], [1, "self"]);

const changeRequest = (_world: World, userId: string, reason: string | undefined) => ({ userId, reason });

const changeModel =
  (name: Transition) => (world: World, caller: Caller, request: { userId: string; reason?: string }) =>
    changeState(world, caller, request, name);

const lock = call(users.lockUser, change, reason, changeRequest, changeModel("lockUser"), isActive);
const release = call(
  users.unlockUser,
  change,
  reason,
  changeRequest,
  changeModel("unlockUser"),
  (user) => user?.state === "locked",
);
const deactivate = call(
  users.deactivateUser,
  change,
  reason,
  changeRequest,
  changeModel("deactivateUser"),
  isActive,
);
const reactivate = call(
  users.reactivateUser,
  change,
  reason,
  changeRequest,
  changeModel("reactivateUser"),
  (user) => user?.state === "inactive",
);
const deletion = call(users.deleteUser, change, reason, changeRequest, deleteUser, () => false);

const challengeStart = call(
  challenges.createOTPEmailChallenge,
  keyed(challenger),
  fc.record({
    otpEmail: otpEmailThat(isVerified),
    delivery,
    audience: weighted<string>(
      [5, settings.audiences[0]!],
      [5, settings.audiences[1]!],
      [1, "https://other.example.com"],
    ),
    nonce: fc.option(fc.constant("n-0S6_WzA2Mj"), { nil: undefined, freq: 2 }),
  }),
  (world, userId, { otpEmail, ...parts }) => ({ userId, otpEmailId: otpEmail(world, userId), ...parts }),
  createOTPEmailChallenge,
  has(isVerified),
);

const challengeVerify = call(
  challenges.verifyOTPEmailChallenge,
  challenger,
  fc.record({ challenge, guess }),
  (world, userId, { challenge, guess }) => {
    const { otpEmailId, challengeId } = challenge(world, userId);
    const right = otpEmailsOf(world, userId)
      .flatMap(({ challenges }) => challenges)
      .find((other) => other.challengeId === challengeId);
    return { userId, otpEmailId, challengeId, code: guess(world, right?.code, 6) };
  },
  verifyOTPEmailChallenge,
  has(hasChallenge),
  howOften,
);

const challengeCancel = call(
  challenges.cancelOTPEmailChallenge,
  challenger,
  challenge,
  (world, userId, challenge) => ({ userId, ...challenge(world, userId) }),
  cancelOTPEmailChallenge,
  has(hasChallenge),
);

const challengeGet = call(
  challenges.getOTPEmailChallenge,
  challenger,
  challenge,
  (world, userId, challenge) => ({ userId, ...challenge(world, userId) }),
  getOTPEmailChallenge,
  has(hasChallenge),
);

const everyReader = by([4, "admin"], [2, "reader"], [2, "readerOfO1"], [2, "adminOfO2"], [2, "self"]);

const listOTPEmailsStep = fc.record({ who: everyReader, userId, pageSize }).map(({ who, userId, pageSize }) =>
  listStep(
    users.listOTPEmails,
    who,
    (_world, page) => ({ userId, pageSize, ...page }),
    (reply) => ({ items: reply.otpEmails, nextPageToken: reply.nextPageToken }),
    listOTPEmails,
  ),
);

const listEventsStep = fc.record({ who: everyReader, userId, pageSize }).map(({ who, userId, pageSize }) =>
  listStep(
    users.listEvents,
    who,
    (_world, page) => ({ userId, pageSize: pageSize === 0 ? 0 : pageSize + 5, ...page }),
    (reply) => ({ items: comparable(reply.events), nextPageToken: reply.nextPageToken }),
    listEvents,
  ),
);

const listUsersStep = fc
  .record({
    who: everyReader,
    pageSize,
    orgId: fc.option(orgId, { nil: undefined }),
    state: fc.constantFrom(UserState.UNSPECIFIED, UserState.ACTIVE, UserState.INACTIVE, UserState.LOCKED),
    emailAddress: fc.option(fc.constantFrom("mini@mouse.com", "DAISY@duck.com"), { nil: undefined }),
  })
  .map(({ who, ...request }) =>
    listStep(
      users.listUsers,
      who,
      (_world, page) => ({ ...request, ...page }),
      (reply) => ({ items: reply.users, nextPageToken: reply.nextPageToken }),
      listUsers,
    ),
  );

const watch = fc
  .record({ who: everyReader, from: fc.nat() })
  .map(({ who, from }) => watchStep(who, (known) => known.at(from % (known.length + 1))));

const jump = weightedOf(
  [4, fc.integer({ min: 1, max: 5 * second })],
  [8, fc.integer({ min: 50 * second, max: 70 * second })],
  [2, fc.integer({ min: minute, max: 12 * minute })],
  [0.5, fc.integer({ min: 50 * minute, max: 70 * minute })],
  [0.25, fc.integer({ min: day - hour, max: 2 * day })],
  [1, fc.integer({ min: -10 * minute, max: -1 })],
).map((ms) => clockStep("a jump", ({ now }) => now + ms));

/** Moves the clock to a time at which something changes, or to the millisecond before. */
const boundary = fc.tuple(fc.nat(), fc.constantFrom(-1, 0, 0)).map(([nth, offset]) =>
  clockStep(`to a boundary, ${offset} ms`, (world) => {
    const times = boundariesOf(world).filter((time) => time + offset > world.now);
    // Mostly one in the near future.
    return times.length === 0 ? world.now + minute : times[(nth % 4) % times.length]! + offset;
  }),
);

function boundariesOf({ users, hits, replies, removed, mails }: World): number[] {
  const otpEmails = users.flatMap(({ otpEmails }) => otpEmails);
  const times = [
    ...otpEmails.flatMap(({ code, failures, challenges }) => [
      code?.expireTime ?? 0,
      failures.lockedUntil,
      ...failures.times.map((time) => time + hour),
      ...challenges.map(({ code }) => code.expireTime),
    ]),
    ...hits.flatMap(({ time }) => [time + settings.mailInterval, time + hour, time + day]),
    ...replies.map(({ forgetTime }) => forgetTime),
    ...removed.map(({ forgetTime }) => forgetTime),
    ...mails.map(({ dueTime }) => dueTime),
  ];
  return [...new Set(times)].sort((a, b) => a - b);
}

const kinds: readonly (readonly [kind: string, weight: number, step: Arbitrary<Step>])[] = [
  ["add", 10, add],
  ["verify", 14, verify],
  ["resend", 8, resend],
  ["get", 3, get],
  ["remove", 2, remove],
  ["unlock", 2, unlock],
  ["create", 3, create],
  ["user", 3, getUser],
  ["delete", 2, deletion],
  ["state", 1, lock],
  ["state", 2, release],
  ["state", 1, deactivate],
  ["state", 2, reactivate],
  ["challenge", 10, challengeStart],
  ["check", 12, challengeVerify],
  ["cancel", 2, challengeCancel],
  ["look", 5, challengeGet],
  ["list", 3, listOTPEmailsStep],
  ["list", 2, listEventsStep],
  ["list", 2, listUsersStep],
  ["list", 1, watch],
  ["again", 5, protocol.map(againStep)],
  ["time", 7, jump],
  ["time", 5, boundary],
  ["restart", 1, fc.constant(undefined).map(restartStep)],
  ["relay", 1, fc.constant(false).map(relayStep)],
  ["relay", 2, fc.constant(true).map(relayStep)],
];

/** Factors for the weights of steps. Some limits are only reached if some steps are frequent. */
const emphases: readonly Readonly<Record<string, number>>[] = [
  {},
  { verify: 5, resend: 4, unlock: 0.5, time: 0.5, state: 0.25, add: 0.5 },
  { resend: 5, challenge: 3, time: 2, state: 0.25, verify: 0.25, remove: 0.5, list: 0.5 },
  { challenge: 3, check: 5, time: 0.5, state: 0.25, unlock: 0.5 },
];

/** One step of any kind. */
export function stepOf(emphasis: number): Arbitrary<Step> {
  const factors = emphases[emphasis % emphases.length];
  return weightedOf(...kinds.map(([kind, weight, step]) => [weight * (factors?.[kind] ?? 1), step] as const));
}

/** Creates two users. */
export function firstSteps(): Step[] {
  const make = (userId: string, orgId: string) =>
    callStep(
      users.createUser,
      { caller: "admin", protocol: "Connect JSON" },
      () => ({ userId, organization: organization(orgId) }),
      createUser,
    );
  return [make("u1", "o1"), make("u2", "o2")];
}

/** Sends all mails, and compares all lists. */
export function lastSteps(): Step[] {
  const all = { caller: "all", protocol: "gRPC" } as const;
  const ids = ["u1", "u2", "u3"];
  return [
    relayStep(true),
    clockStep("after all", ({ now }) => now + 11 * minute),
    listStep(
      users.listUsers,
      all,
      (_world, page) => ({ pageSize: 2, ...page }),
      (reply) => ({ items: reply.users, nextPageToken: reply.nextPageToken }),
      listUsers,
    ),
    ...ids.map((userId) =>
      listStep(
        users.listEvents,
        all,
        (_world, page) => ({ userId, ...page }),
        (reply) => ({ items: comparable(reply.events), nextPageToken: reply.nextPageToken }),
        listEvents,
      ),
    ),
    watchStep(all, () => undefined),
  ];
}

function weighted<T>(...choices: (readonly [number, T])[]): Arbitrary<T> {
  return weightedOf(...choices.map(([weight, value]) => [weight, fc.constant(value)] as const));
}

function weightedOf<T>(...choices: (readonly [number, Arbitrary<T>])[]): Arbitrary<T> {
  // fast-check needs integer weights.
  return fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight: Math.round(4 * weight), arbitrary })));
}
