import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  AddOTPEmailRequestSchema,
  CreateUserRequestSchema,
  ResendOTPEmailCodeRequestSchema,
  type UserService,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { organizationsOf } from "../../auth/principal.ts";
import type { EventFeed } from "../../events/event-feed.ts";
import { listEvents } from "../../events/list-events.ts";
import type { OTPContext } from "../../otp/context.ts";
import { addOTPEmail } from "../../otp/enrolment/add.ts";
import { getOTPEmail, listOTPEmails, otpEmailsOf } from "../../otp/enrolment/read.ts";
import { removeOTPEmail } from "../../otp/enrolment/remove.ts";
import { resendCode } from "../../otp/enrolment/resend.ts";
import { unlockOTPEmail } from "../../otp/enrolment/unlock.ts";
import { verifyOTPEmail } from "../../otp/enrolment/verify.ts";
import { deleteUser } from "../../users/delete-user.ts";
import { listUsers } from "../../users/list-users.ts";
import { createUser, requireActive } from "../../users/user.ts";
import { changeState, type Transition } from "../../users/user-state.ts";
import { accessKey, causeOf, inputOf, mayReadAddresses, principalOf, requireUser } from "../call-context.ts";
import { refuseToProveItself, toDelivery } from "../code-delivery.ts";
import { idempotencyKeyOf } from "../idempotency-key.ts";
import { toDetails, toEvent, toOTPEmail, toUser } from "../messages.ts";
import { createPageTokens, pageOf } from "../page-token.ts";
import type { UserParsers } from "./user-requests.ts";

export interface UserServiceOptions {
  readonly otp: OTPContext;
  readonly events: EventFeed;
  readonly parsers: UserParsers;
  /** Hosts that the user itself may name in a `url_template`. */
  readonly linkHosts: readonly string[];
}

/** In whichever organization a caller has one of these, it may list users and watch events. */
const userReaders = ["user.read", "user.write"] as const;

/** UserService: message ↔ use case, and nothing else. */
export function createUserService(options: UserServiceOptions): ServiceImpl<typeof UserService> {
  const { otp, events, parsers, linkHosts } = options;
  const pageTokens = createPageTokens(otp.keys);
  return {
    async addOTPEmail(request, context) {
      const { address, verification } = inputOf(context, parsers.addOTPEmail);
      refuseToProveItself(verification, context, { linkHosts, permission: "user.write" });
      const { user_id: userId, org_id: orgId } = requireUser(context);
      const how = verification.kind === "is_verified" ? verification : toDelivery(verification, context);
      const { actor, clientAddress, caller } = causeOf(context);
      const added = await addOTPEmail(otp, {
        actor,
        clientAddress,
        caller,
        userId,
        orgId,
        address,
        verification: how,
        idempotencyKey: idempotencyKeyOf(otp.keys, context, AddOTPEmailRequestSchema, request),
      });
      return {
        details: toDetails(added.details),
        otpEmailId: added.otpEmailId,
        verificationCode: added.code,
      };
    },

    async verifyOTPEmail(_request, context) {
      const { otpEmailId, code } = inputOf(context, parsers.verifyOTPEmail);
      const { actor, clientAddress, caller } = causeOf(context);
      const input = { actor, clientAddress, caller, otpEmailId, code };
      return { details: toDetails(await verifyOTPEmail(otp, requireUser(context), input)) };
    },

    async resendOTPEmailCode(request, context) {
      const { otpEmailId, delivery } = inputOf(context, parsers.resendOTPEmailCode);
      refuseToProveItself(delivery, context, { linkHosts, permission: "user.write" });
      const { user_id: userId } = requireUser(context);
      const input = {
        ...causeOf(context),
        userId,
        otpEmailId,
        delivery: toDelivery(delivery, context),
        idempotencyKey: idempotencyKeyOf(otp.keys, context, ResendOTPEmailCodeRequestSchema, request),
      };
      const { details, code } = await resendCode(otp, input);
      return { details: toDetails(details), verificationCode: code };
    },

    async listOTPEmails(_request, context) {
      const { pageSize, pageToken } = inputOf(context, parsers.listOTPEmails);
      const user = requireUser(context);
      const list = ["ListOTPEmails", user.org_id, user.user_id];
      const [after] = pageTokens.read(list, pageToken) ?? [];
      const found = await listOTPEmails(otp, user, { after, most: pageSize + 1 });
      const { page, last } = pageOf(found, pageSize);
      const masked = !mayReadAddresses(context, user);
      return {
        otpEmails: page.map((otpEmail) => toOTPEmail(otpEmail, { masked })),
        nextPageToken: last ? pageTokens.make(list, [last.otpEmailId]) : "",
      };
    },

    async getOTPEmail(_request, context) {
      const { otpEmailId } = inputOf(context, parsers.getOTPEmail);
      const user = requireUser(context);
      const otpEmail = await getOTPEmail(otp, user, otpEmailId);
      return { otpEmail: toOTPEmail(otpEmail, { masked: !mayReadAddresses(context, user) }) };
    },

    async removeOTPEmail(_request, context) {
      const { otpEmailId, reason } = inputOf(context, parsers.removeOTPEmail);
      const user = requireUser(context);
      // Whoever took over an account that was locked for it must not remove what proves whose it is.
      if (context.values.get(accessKey) === "self") requireActive(user);
      const input = { ...causeOf(context), userId: user.user_id, otpEmailId, reason };
      return { details: toDetails(await removeOTPEmail(otp, input)) };
    },

    async unlockOTPEmail(_request, context) {
      const { otpEmailId, reason } = inputOf(context, parsers.unlockOTPEmail);
      const { user_id: userId } = requireUser(context);
      const input = { ...causeOf(context), userId, otpEmailId, reason };
      return { details: toDetails(await unlockOTPEmail(otp, input)) };
    },

    async createUser(request, context) {
      const user = {
        ...inputOf(context, parsers.createUser),
        ...causeOf(context),
        idempotencyKey: idempotencyKeyOf(otp.keys, context, CreateUserRequestSchema, request),
      };
      const { userId, details } = await createUser(otp.store, otp.clock, user);
      return { userId, details: toDetails(details) };
    },

    async getUserByID(_request, context) {
      const user = requireUser(context);
      return { user: toUser(user, await otpEmailsOf(otp, [user.user_id])) };
    },

    async listUsers(_request, context) {
      const { orgId, filter, pageSize, pageToken } = inputOf(context, parsers.listUsers);
      const own = organizationsOf(principalOf(context), userReaders);
      const organizations = orgId === undefined ? own : new Set([orgId]);
      const list = ["ListUsers", organizations === "all" ? "all" : [...organizations].sort(), filter];
      const [afterOrgId, afterUserId] = pageTokens.read(list, pageToken) ?? [];
      const after =
        afterOrgId === undefined || afterUserId === undefined
          ? undefined
          : { orgId: afterOrgId, userId: afterUserId };
      const { store } = otp;
      const found = await listUsers(store.db, organizations, filter, { after, most: pageSize + 1 });
      const { page, last } = pageOf(found, pageSize);
      const otpEmails = await otpEmailsOf(
        otp,
        page.map((user) => user.user_id),
      );
      return {
        users: page.map((user) =>
          toUser(
            user,
            otpEmails.filter((otpEmail) => otpEmail.userId === user.user_id),
          ),
        ),
        nextPageToken: last ? pageTokens.make(list, [last.org_id, last.user_id]) : "",
      };
    },

    async listEvents(_request, context) {
      const { pageSize, pageToken } = inputOf(context, parsers.listEvents);
      const user = requireUser(context);
      const list = ["ListEvents", "from", user.org_id, user.user_id];
      const [position] = pageTokens.read(list, pageToken) ?? [];
      const from = position === undefined ? undefined : Number(position);
      const found = await listEvents(otp.store.db, user, { from, most: pageSize + 1 });
      const { page, last } = pageOf(found, pageSize);
      return {
        events: page.map(toEvent),
        nextPageToken: last ? pageTokens.make(list, [String(last.previous)]) : "",
      };
    },

    async *watchEvents(_request, context) {
      const { after } = inputOf(context, parsers.watchEvents);
      const organizations = organizationsOf(principalOf(context), userReaders);
      for await (const { event, position } of events.watch({
        organizations,
        after,
        signal: context.signal,
      })) {
        yield { event: event && toEvent(event), position: String(position) };
      }
    },

    deactivateUser: change("deactivate", parsers.deactivateUser),
    reactivateUser: change("reactivate", parsers.reactivateUser),
    lockUser: change("lock", parsers.lockUser),
    unlockUser: change("unlock", parsers.unlockUser),

    async deleteUser(_request, context) {
      const { reason } = inputOf(context, parsers.deleteUser);
      const input = { ...causeOf(context), user: requireUser(context), reason };
      return { details: toDetails(await deleteUser(otp.store, otp.clock, input)) };
    },
  };

  function change(transition: Transition, parser: UserParsers["lockUser"]) {
    return async (_request: unknown, context: HandlerContext) => {
      const { reason } = inputOf(context, parser);
      const input = { ...causeOf(context), user: requireUser(context), reason };
      return { details: toDetails(await changeState(otp.store, otp.clock, transition, input)) };
    };
  }
}
