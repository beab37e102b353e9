import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type MessageInitShape,
  type MessageShape,
  toJsonString,
} from "@bufbuild/protobuf";
import type { AsyncCommand } from "fast-check";
import { type Protocol, protocols } from "../app.ts";
import { type Caller, type CallerName, callerOf } from "./access.ts";
import { compareCall, compareMails } from "./compare.ts";
import type { System } from "./system.ts";
import type { KeyUse } from "./user-calls.ts";
import { moveTo, sweep, type World } from "./world.ts";

export type Step = AsyncCommand<World, System>;

/** How to make a call. */
export interface By {
  readonly caller: CallerName;
  readonly protocol: Protocol;
  /** The Idempotency-Key. */
  readonly key?: string | undefined;
  /** With a key, the same call is made over this protocol too, concurrently. */
  readonly alsoOver?: Protocol | undefined;
}

/** Predicts the reply to a call. `made` is the reply of the service, for values that only the service can choose. */
export type Model<I extends DescMessage, O extends DescMessage> = (
  world: World,
  caller: Caller,
  request: MessageShape<I>,
  made: MessageShape<O> | undefined,
  key: KeyUse | undefined,
) => MessageInitShape<O>;

/** Makes a call and compares it. @param request makes the request from the state of the model. */
export function callStep<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  by: By,
  request: (world: World) => MessageInitShape<I>,
  model: Model<I, O>,
  { check = () => true, times = 1 }: { check?: Step["check"]; times?: number } = {},
): Step {
  let text = "";
  return {
    check,
    toString: () => `${method.name} ${textOf(by)} ${text}${times > 1 ? ` ${times} times` : ""}`,
    async run(world, system) {
      const message = create(method.input, request(world));
      text = toJsonString(method.input, message);
      const caller = callerOf(by.caller, userIdOf(message));
      const key = by.key === undefined ? undefined : { key: by.key, request: `${method.name} ${text}` };
      const call = async (...over: Protocol[]) => {
        const calls = over.map((protocol) => system.call(method, message, { ...by, protocol, caller }));
        for (const result of await Promise.all(calls)) {
          system.steps++;
          await compareCall(system, world, method, result, (made) =>
            model(world, caller, message, made, key),
          );
        }
        await compareMails(system, world);
      };
      const over = key && by.alsoOver ? [by.protocol, by.alsoOver] : [by.protocol];
      for (let time = 0; time < times; time++) await call(...over);
      if (by.key !== undefined) system.again = call;
    },
  };
}

/** Reads all pages of a list, concatenates and compares them. */
export function listStep<I extends DescMessage, O extends DescMessage>(
  method: DescMethodUnary<I, O>,
  by: By,
  request: (world: World, page: { pageToken: string }) => MessageInitShape<I>,
  itemsOf: (reply: MessageShape<O>) => { items: unknown[]; nextPageToken: string },
  model: Model<I, O>,
): Step {
  let text = "";
  return {
    check: () => true,
    toString: () => `${method.name} ${textOf(by)} ${text}`,
    async run(world, system) {
      const first = create(method.input, request(world, { pageToken: "" }));
      text = toJsonString(method.input, first);
      const caller = callerOf(by.caller, userIdOf(first));
      const result = await system.call(method, first, { ...by, caller });
      system.steps++;
      if ("reply" in result) {
        const all = itemsOf(result.reply);
        for (let token = all.nextPageToken; token !== ""; ) {
          const message = create(method.input, request(world, { pageToken: token }));
          const next = await system.call(method, message, { ...by, caller });
          if ("refusal" in next) throw new Error(`the next page is refused: ${next.refusal.message}`);
          const { items, nextPageToken } = itemsOf(next.reply);
          if (items.length === 0) throw new Error("a page is empty");
          all.items.push(...items);
          token = nextPageToken;
        }
        Object.assign(result.reply, { nextPageToken: "" });
      }
      await compareCall(system, world, method, result, (made) =>
        model(world, caller, first, made, undefined),
      );
    },
  };
}

/** Repeats the last call with an Idempotency-Key, possibly over another protocol. */
export function againStep(protocol: Protocol): Step {
  return {
    check: () => true,
    toString: () => `the last call with a key again, over ${protocol}`,
    run: async (_world, system) => system.again?.(protocol),
  };
}

/** Moves the clock to a time that depends on the state of the model. */
export function clockStep(what: string, timeOf: (world: World) => number): Step {
  let text = what;
  return {
    check: () => true,
    toString: () => text,
    async run(world, system) {
      const before = world.now;
      const time = timeOf(world);
      text = `the clock: ${what}, ${time - before} ms, to ${new Date(time).toISOString()}`;
      const sweeps = time >= world.sweepTime;
      moveTo(world, time);
      await system.moveTo(time);
      system.steps++;
      if (sweeps) await system.swept();
      await compareMails(system, world);
    },
  };
}

export function restartStep(): Step {
  return {
    check: () => true,
    toString: () => "restart",
    async run(world, system) {
      await system.restart();
      system.steps++;
      sweep(world);
      await system.swept();
      await compareMails(system, world);
    },
  };
}

export function relayStep(isUp: boolean): Step {
  return {
    check: () => true,
    toString: () => `the relay ${isUp ? "accepts mails" : "refuses mails"}`,
    async run(world, system) {
      world.relayIsUp = isUp;
      system.relayIsUp = isUp;
      system.steps++;
    },
  };
}

/** The REST client of the tests does not support streams. */
export const streamProtocols = protocols.filter((protocol) => protocol !== "REST");

function textOf({ caller, protocol, key, alsoOver }: By): string {
  if (key === undefined) return `by ${caller} over ${protocol}`;
  return `by ${caller} over ${protocol}${alsoOver ? ` and ${alsoOver} concurrently` : ""} with the key ${key}`;
}

const userIdOf = (message: object) => ("userId" in message ? String(message.userId) : "");
