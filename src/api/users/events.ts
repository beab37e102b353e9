import type {
  ListEventsRequest,
  WatchEventsRequest,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { organizationsOf } from "../../auth/principal.ts";
import { listEvents as list } from "../../events/list-events.ts";
import { Refusal } from "../../lib/refusal.ts";
import { principalOf, requireUser } from "../call-context.ts";
import type { ApiDependencies } from "../dependencies.ts";
import { toEvent } from "../messages.ts";
import type { Call } from "../methods.ts";
import { pageOf } from "../page-token.ts";
import { requirePageSize, requireText } from "../text-fields.ts";
import { userReaders } from "./users.ts";

// The methods of UserService for events, each with a parser and a handler.

export function parseListEvents(message: ListEventsRequest) {
  const userId = requireText(message.userId, "user_id");
  return { userId, pageSize: requirePageSize(message.pageSize), pageToken: message.pageToken };
}

export async function listEvents(
  { input, context }: Call<ReturnType<typeof parseListEvents>>,
  { otp, pageTokens }: ApiDependencies,
) {
  const { pageSize, pageToken } = input;
  const user = requireUser(context);
  const scope = ["ListEvents", "from", user.org_id, user.user_id];
  const [position] = pageTokens.read(scope, pageToken) ?? [];
  const from = position === undefined ? undefined : Number(position);
  const { page, last } = pageOf(await list(otp.store.db, user, { from, limit: pageSize + 1 }), pageSize);
  return {
    events: page.map(toEvent),
    nextPageToken: last ? pageTokens.make(scope, [String(last.previous)]) : "",
  };
}

export function parseWatchEvents({ afterPosition }: WatchEventsRequest) {
  const after = afterPosition === undefined ? undefined : parsePosition(afterPosition);
  return { orgId: undefined, after };
}

export async function* watchEvents(
  { input, context }: Call<ReturnType<typeof parseWatchEvents>>,
  { events }: ApiDependencies,
) {
  const organizations = organizationsOf(principalOf(context), userReaders);
  const watched = events.watch({ organizations, after: input.after, signal: context.signal });
  for await (const { event, position } of watched) {
    yield { event: event && toEvent(event), position: String(position) };
  }
}

function parsePosition(position: string): number {
  // A number of 15 digits is exact.
  if (/^\d{1,15}$/.test(position)) return Number(position);
  throw new Refusal(
    "REQUEST_INVALID",
    "after_position must be a position that this service returned, or 0 for all events",
    { field: "after_position" },
  );
}
