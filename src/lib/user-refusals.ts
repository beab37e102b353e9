import { Refusal } from "./refusal.ts";

/** NOT_FOUND: also for a user of an organization that the caller may not know of. */
export function userNotFound() {
  return new Refusal("USER_NOT_FOUND", "there is no such user: create it first, or check the user_id");
}
