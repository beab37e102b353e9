import type { JsonObject, MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type ChallengeSchema,
  ChallengeState,
} from "../../gen/countersign/user/v3alpha/challenge_service_pb.ts";
import type { DetailsSchema } from "../../gen/countersign/user/v3alpha/details_pb.ts";
import type { EventSchema } from "../../gen/countersign/user/v3alpha/event_pb.ts";
import {
  DeliveryState,
  type MailDeliverySchema,
  type OTPEmailSchema,
} from "../../gen/countersign/user/v3alpha/otp_email_pb.ts";
import { type UserSchema, UserState } from "../../gen/countersign/user/v3alpha/user_pb.ts";
import type { Details, Event } from "../events/event.ts";
import { maskAddress } from "../lib/mask-address.ts";
import type { Challenge } from "../otp/challenges/read.ts";
import type { OTPEmail } from "../otp/enrolment/read.ts";
import { detailsOf, type User } from "../users/user.ts";

export function toDetails(details: Details): MessageInitShape<typeof DetailsSchema> {
  return {
    sequence: BigInt(details.sequence),
    changeDate: timestampFromMs(details.changeTime),
    resourceOwner: details.orgId,
  };
}

export function toUser(user: User, otpEmails: readonly OTPEmail[]): MessageInitShape<typeof UserSchema> {
  return {
    userId: user.user_id,
    details: toDetails(detailsOf(user)),
    state: userStates[user.state],
    preferredLanguage: user.preferred_language ?? undefined,
    displayName: user.display_name ?? undefined,
    authenticators: { otpEmail: otpEmails.map((otpEmail) => toOTPEmail(otpEmail, { masked: false })) },
  };
}

export function toOTPEmail(
  otpEmail: OTPEmail,
  { masked }: { masked: boolean },
): MessageInitShape<typeof OTPEmailSchema> {
  return {
    otpEmailId: otpEmail.otpEmailId,
    address: masked ? maskAddress(otpEmail.address) : otpEmail.address,
    isVerified: otpEmail.verifyTime !== null,
    createTime: timestampFromMs(otpEmail.createTime),
    verifyTime: toTimestamp(otpEmail.verifyTime),
    lastUseTime: toTimestamp(otpEmail.lastUseTime),
    failedAttemptsLeft: otpEmail.attemptsLeft,
    lockedUntil: toTimestamp(otpEmail.lockedUntil),
    lastMail: otpEmail.lastMail && toMailDelivery(otpEmail.lastMail),
  };
}

export function toChallenge(challenge: Challenge): MessageInitShape<typeof ChallengeSchema> {
  return {
    challengeId: challenge.challengeId,
    state: challengeStates[challenge.state],
    createTime: timestampFromMs(challenge.createTime),
    expireTime: timestampFromMs(challenge.expireTime),
    failedAttemptsLeft: challenge.attemptsLeft,
    mail: challenge.mail && toMailDelivery(challenge.mail),
  };
}

export function toEvent(event: Event): MessageInitShape<typeof EventSchema> {
  return {
    userId: event.user_id,
    sequence: BigInt(event.sequence),
    type: event.type,
    time: timestampFromMs(event.time),
    actor: event.actor,
    clientAddress: event.client_address ?? "",
    reason: event.reason ?? "",
    data: JSON.parse(event.data) as JsonObject,
    orgId: event.org_id,
    position: String(event.position),
  };
}

function toMailDelivery(
  mail: NonNullable<OTPEmail["lastMail"]>,
): MessageInitShape<typeof MailDeliverySchema> {
  return {
    state: deliveryStates[mail.state],
    createTime: timestampFromMs(mail.createTime),
    settleTime: toTimestamp(mail.settleTime),
    reason: mail.reason ?? "",
  };
}

function toTimestamp(ms: number | null) {
  return ms === null ? undefined : timestampFromMs(ms);
}

const userStates = {
  active: UserState.ACTIVE,
  inactive: UserState.INACTIVE,
  locked: UserState.LOCKED,
} as const;

const challengeStates = {
  pending: ChallengeState.PENDING,
  passed: ChallengeState.PASSED,
  failed: ChallengeState.FAILED,
  replaced: ChallengeState.REPLACED,
  cancelled: ChallengeState.CANCELLED,
  reported: ChallengeState.REPORTED,
  expired: ChallengeState.EXPIRED,
} as const;

const deliveryStates = {
  queued: DeliveryState.QUEUED,
  deferred: DeliveryState.DEFERRED,
  sent: DeliveryState.SENT,
  failed: DeliveryState.FAILED,
  suppressed: DeliveryState.SUPPRESSED,
} as const;
