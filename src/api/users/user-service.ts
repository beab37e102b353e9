import { UserService } from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import type { Rule } from "../../auth/permissions.ts";
import type { ApiDependencies } from "../dependencies.ts";
import { type ApiService, serveTable } from "../methods.ts";
import { listEvents, parseListEvents, parseWatchEvents, watchEvents } from "./events.ts";
import {
  addOTPEmail,
  getOTPEmail,
  listOTPEmails,
  parseAddOTPEmail,
  parseGetOTPEmail,
  parseListOTPEmails,
  parseOTPEmailChange,
  parseResendOTPEmailCode,
  parseVerifyOTPEmail,
  removeOTPEmail,
  resendOTPEmailCode,
  unlockOTPEmail,
  verifyOTPEmail,
} from "./otp-emails.ts";
import {
  changeUserState,
  createUser,
  deleteUser,
  getUserByID,
  listUsers,
  parseCreateUser,
  parseGetUserByID,
  parseListUsers,
  parseUserChange,
  userReaders,
} from "./users.ts";

const writeUser: Rule = { anyOf: ["user.write"], target: "user", self: false };
const writeUserOrSelf: Rule = { ...writeUser, self: true };
const readUser: Rule = { anyOf: userReaders, target: "user", self: false };
const readUserOrSelf: Rule = { ...readUser, self: true };
/** Addresses are masked for callers with `otp.challenge` only. */
const readOTPEmails: Rule = { anyOf: [...userReaders, "otp.challenge"], target: "user", self: true };
const createInOrganization: Rule = { anyOf: ["user.write"], target: "organization", self: false };
const readOrganizations: Rule = { anyOf: userReaders, target: "organizations", self: false };

/** UserService, a row per method: who may call it, its parser and its handler. */
export function createUserService(dependencies: ApiDependencies): ApiService {
  return serveTable(
    UserService,
    {
      addOTPEmail: { rule: writeUserOrSelf, parse: parseAddOTPEmail, handle: addOTPEmail },
      verifyOTPEmail: { rule: writeUserOrSelf, parse: parseVerifyOTPEmail, handle: verifyOTPEmail },
      resendOTPEmailCode: {
        rule: writeUserOrSelf,
        parse: parseResendOTPEmailCode,
        handle: resendOTPEmailCode,
      },
      listOTPEmails: { rule: readOTPEmails, parse: parseListOTPEmails, handle: listOTPEmails },
      getOTPEmail: { rule: readOTPEmails, parse: parseGetOTPEmail, handle: getOTPEmail },
      removeOTPEmail: { rule: writeUserOrSelf, parse: parseOTPEmailChange, handle: removeOTPEmail },
      unlockOTPEmail: { rule: writeUser, parse: parseOTPEmailChange, handle: unlockOTPEmail },

      createUser: { rule: createInOrganization, parse: parseCreateUser, handle: createUser },
      getUserByID: { rule: readUserOrSelf, parse: parseGetUserByID, handle: getUserByID },
      listUsers: { rule: readOrganizations, parse: parseListUsers, handle: listUsers },
      deactivateUser: { rule: writeUser, parse: parseUserChange, handle: changeUserState("deactivate") },
      reactivateUser: { rule: writeUser, parse: parseUserChange, handle: changeUserState("reactivate") },
      lockUser: { rule: writeUser, parse: parseUserChange, handle: changeUserState("lock") },
      unlockUser: { rule: writeUser, parse: parseUserChange, handle: changeUserState("unlock") },
      deleteUser: { rule: writeUser, parse: parseUserChange, handle: deleteUser },

      // Not for the user itself: events contain the IP addresses and reasons of administrators.
      listEvents: { rule: readUser, parse: parseListEvents, handle: listEvents },
      watchEvents: { rule: readOrganizations, parse: parseWatchEvents, handle: watchEvents },
    },
    dependencies,
  );
}
