import { type Organization, UserState } from "../../../gen/countersign/user/v3alpha/user_pb.ts";
import {
  type CreateUserRequest,
  CreateUserRequestSchema,
  type GetUserByIDRequest,
  type ListUsersRequest,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { organizationsOf } from "../../auth/principal.ts";
import { Refusal } from "../../lib/refusal.ts";
import { otpEmailsOf } from "../../otp/enrolment/read.ts";
import { deleteUser as remove } from "../../users/delete-user.ts";
import { listUsers as list } from "../../users/list-users.ts";
import { createUser as create } from "../../users/user.ts";
import { changeState, type Transition } from "../../users/user-state.ts";
import { causeOf, principalOf, requireUser } from "../call-context.ts";
import type { ApiDependencies } from "../dependencies.ts";
import { idempotencyKeyOf } from "../idempotency-key.ts";
import { toDetails, toUser } from "../messages.ts";
import type { Call } from "../methods.ts";
import { pageOf } from "../page-token.ts";
import {
  parseAddress,
  parseReason,
  requireLanguage,
  requireName,
  requirePageSize,
  requireText,
} from "../text-fields.ts";

// The methods of UserService for users, each with a parser and a handler.

/** Either permission allows reading users and events. */
export const userReaders = ["user.read", "user.write"] as const;

export function parseCreateUser(message: CreateUserRequest) {
  const { userId, displayName, preferredLanguage } = message;
  return {
    userId: userId === undefined ? undefined : requireText(userId, "user_id"),
    orgId: parseOrganization(message.organization),
    preferredLanguage:
      preferredLanguage === undefined ? undefined : requireLanguage(preferredLanguage, "preferred_language"),
    displayName: displayName === undefined ? undefined : requireName(displayName, "display_name"),
  };
}

export async function createUser(
  { input, message, context }: Call<ReturnType<typeof parseCreateUser>, CreateUserRequest>,
  { otp }: ApiDependencies,
) {
  const user = {
    ...input,
    ...causeOf(context),
    idempotencyKey: idempotencyKeyOf(otp.keys, context, CreateUserRequestSchema, message),
  };
  const { userId, details } = await create(otp.store, otp.clock, user);
  return { userId, details: toDetails(details) };
}

export function parseGetUserByID(message: GetUserByIDRequest) {
  return { userId: requireText(message.userId, "user_id") };
}

export async function getUserByID(
  { context }: Call<ReturnType<typeof parseGetUserByID>>,
  { otp }: ApiDependencies,
) {
  const user = requireUser(context);
  return { user: toUser(user, await otpEmailsOf(otp, [user.user_id])) };
}

export function parseListUsers(message: ListUsersRequest) {
  const { orgId, emailAddress } = message;
  return {
    orgId: orgId === undefined ? undefined : requireText(orgId, "org_id"),
    filter: {
      state: parseState(message.state),
      canonicalAddress:
        emailAddress === undefined
          ? undefined
          : // Also non-ASCII local parts, even if they can't be delivered to at present.
            parseAddress(emailAddress, "email_address", true).canonical,
    },
    pageSize: requirePageSize(message.pageSize),
    pageToken: message.pageToken,
  };
}

export async function listUsers(
  { input, context }: Call<ReturnType<typeof parseListUsers>>,
  { otp, pageTokens }: ApiDependencies,
) {
  const { orgId, filter, pageSize, pageToken } = input;
  const own = organizationsOf(principalOf(context), userReaders);
  const organizations = orgId === undefined ? own : new Set([orgId]);
  const scope = ["ListUsers", organizations === "all" ? "all" : [...organizations].sort(), filter];
  const [afterOrgId, afterUserId] = pageTokens.read(scope, pageToken) ?? [];
  const after =
    afterOrgId === undefined || afterUserId === undefined
      ? undefined
      : { orgId: afterOrgId, userId: afterUserId };
  const found = await list(otp.store.db, organizations, filter, { after, limit: pageSize + 1 });
  const { page, last } = pageOf(found, pageSize);
  const userIds = page.map((user) => user.user_id);
  const otpEmails = await otpEmailsOf(otp, userIds);
  return {
    users: page.map((user) =>
      toUser(
        user,
        otpEmails.filter(({ userId }) => userId === user.user_id),
      ),
    ),
    nextPageToken: last ? pageTokens.make(scope, [last.org_id, last.user_id]) : "",
  };
}

export function parseUserChange(message: { userId: string; reason?: string }) {
  return { userId: requireText(message.userId, "user_id"), reason: parseReason(message) };
}

type UserChange = Call<ReturnType<typeof parseUserChange>>;

export function changeUserState(transition: Transition) {
  return async ({ input, context }: UserChange, { otp }: ApiDependencies) => {
    const change = { ...causeOf(context), user: requireUser(context), reason: input.reason };
    return { details: toDetails(await changeState(otp.store, otp.clock, transition, change)) };
  };
}

export async function deleteUser({ input, context }: UserChange, { otp }: ApiDependencies) {
  const change = { ...causeOf(context), user: requireUser(context), reason: input.reason };
  return { details: toDetails(await remove(otp.store, otp.clock, change)) };
}

function parseState(state: UserState): "active" | "inactive" | "locked" | undefined {
  switch (state) {
    case UserState.UNSPECIFIED:
      return undefined;
    case UserState.ACTIVE:
      return "active";
    case UserState.INACTIVE:
      return "inactive";
    case UserState.LOCKED:
      return "locked";
    default:
      throw new Refusal(
        "REQUEST_INVALID",
        "state must be active, inactive or locked: leave it out for users in any state",
        { field: "state" },
      );
  }
}

function parseOrganization(organization: Organization | undefined): string {
  const org = organization?.org;
  switch (org?.case) {
    case "orgId":
      return requireText(org.value, "organization.org_id");
    case "orgDomain":
      throw new Refusal(
        "REQUEST_INVALID",
        "organization.org_domain is not supported: give organization.org_id",
        { field: "organization.org_domain" },
      );
    default:
      throw new Refusal(
        "REQUEST_INVALID",
        "organization.org_id is missing: give the id of the organization of the user",
        { field: "organization.org_id" },
      );
  }
}
