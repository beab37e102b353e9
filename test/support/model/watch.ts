import { create, type JsonObject, toJson } from "@bufbuild/protobuf";
import { expect } from "vitest";
import { type Event as EventMessage, EventSchema } from "../../../gen/countersign/user/v3alpha/event_pb.ts";
import {
  UserService,
  type WatchEventsResponse,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { refusalOf } from "../errors.ts";
import { callerOf } from "./access.ts";
import { notePosition } from "./compare.ts";
import { type By, type Step, streamProtocols } from "./steps.ts";
import type { CallOptions, System } from "./system.ts";
import { comparable, showEvent, watchEvents } from "./user-calls.ts";
import { type Event, Refused, type World } from "./world.ts";

/** Watches from a known position, or from the first event, up to the last event. */
export function watchStep(by: By, choose: (known: readonly bigint[]) => bigint | undefined): Step {
  const protocol = by.protocol === "REST" ? streamProtocols[0]! : by.protocol;
  let text = "";
  return {
    check: () => true,
    toString: () => `WatchEvents by ${by.caller} over ${protocol} after ${text}`,
    async run(world, system) {
      const after = choose([...system.positions.values()].sort((a, b) => Number(a - b))) ?? 0n;
      text = `${after}`;
      const caller = callerOf(by.caller, "u1");
      const expected = outcomeOf(() => watchEvents(caller, behind(world, system, after)));
      const actual = await watch(system, after, { caller, protocol }, expected);
      system.steps++;
      expect(actual, "WatchEvents (left: the service, right: the model)").toEqual(expected);
    },
  };
}

type Outcome = { events: unknown[] } | { code: string; reason: string | undefined };

function outcomeOf(model: () => Event[]): Outcome {
  try {
    const events = model().map((event) => toJson(EventSchema, create(EventSchema, showEvent(event))));
    return { events: inOrder(events as JsonObject[]) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return { code: error.code, reason: error.reason };
  }
}

/** Mails that are due at the same time are settled in any order, so adjacent events of mails are sorted. */
function inOrder(events: readonly JsonObject[]): JsonObject[] {
  const ordered: JsonObject[] = [];
  let mails: JsonObject[] = [];
  const endRun = () => {
    ordered.push(...mails.sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1)));
    mails = [];
  };
  for (const event of events) {
    if (event.type === "mail") mails.push(event);
    else {
      endRun();
      ordered.push(event);
    }
  }
  endRun();
  return ordered;
}

const nameOf = ({ orgId, userId, sequence }: JsonObject) =>
  `${orgId} ${userId} ${String(sequence).padStart(9, "0")}`;

/** The events after a known position. */
function behind({ events }: World, { positions }: System, after: bigint): Event[] {
  const isThere = ({ orgId, userId, sequence }: Event) =>
    positions.get(`${orgId} ${userId} ${sequence}`) === after;
  return events.slice(events.findIndex(isThere) + 1);
}

async function watch(
  system: System,
  after: bigint,
  options: CallOptions,
  expected: Outcome,
): Promise<Outcome> {
  const ending = new AbortController();
  const request = create(UserService.method.watchEvents.input, { afterPosition: `${after}` });
  const count = "events" in expected ? expected.events.length : 0;
  try {
    const stream = await system.watch(request, { ...options, signal: ending.signal });
    const events = comparable(await read(stream, after, count));
    return { events: inOrder(events.map((event) => withoutPosition(system, event))) };
  } catch (error) {
    const { code, reason } = await refusalOf(Promise.reject(error));
    return { code, reason };
  } finally {
    ending.abort();
  }
}

async function read(
  stream: AsyncIterable<WatchEventsResponse>,
  after: bigint,
  count: number,
): Promise<EventMessage[]> {
  const events: EventMessage[] = [];
  let position = -1n;
  for await (const message of stream) {
    if (position === -1n) {
      expect([message.event, message.position]).toEqual([undefined, `${after}`]);
    } else {
      expect(BigInt(message.position)).toBeGreaterThan(position);
      if (message.event) events.push(message.event);
    }
    position = BigInt(message.position);
    if (events.length === count) return events;
  }
  return events;
}

function withoutPosition(system: System, message: EventMessage): JsonObject {
  const { position, ...event } = toJson(EventSchema, message) as JsonObject;
  notePosition(system, event, BigInt(String(position)));
  return event;
}
