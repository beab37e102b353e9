import { Refusal } from "./refusal.ts";

/** Also used for a user in an organization where the caller has no permission, so that it reveals nothing. */
export function userNotFound(): Refusal {
  return new Refusal("USER_NOT_FOUND", "there is no such user: create it first, or check the user_id");
}
