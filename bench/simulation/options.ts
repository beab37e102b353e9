import { positiveNumber, readOptions } from "../lib/options.ts";
import type { Demand } from "./demand.ts";

const usage = `npm run simulate -w bench -- [options]

Computes what an installation needs from the results of "npm run nodes -w bench": rows, bytes, rates and cores. Simulates a day
of mails at a relay, and the wait for a lock that all calls share.

  --logins N          logins a second in the busiest hour (1000)
  --users N           users with one address each (100000000)
  --mean-to-peak N    logins of the mean hour, as a share of the busiest (0.6)
  --enrolments N      enrolments a day (100000)
  --event-days N      days that events are kept (90)
  --relay N           mails a second that the relay accepts (900)
  --hold MS           time for which a call holds a lock that all calls share (4)
  --sent-us N         CPU time of a node to send a mail (600, from "npm run courier -w bench")
  --life S            lifetime of a code (300)
  --seed N            seed of the random numbers (1)
  --measured FILE     results of the nodes bench (docs/nodes.json)
`;

const defaults = {
  logins: "1000",
  users: "100000000",
  "mean-to-peak": "0.6",
  enrolments: "100000",
  "event-days": "90",
  relay: "900",
  hold: "4",
  "sent-us": "600",
  life: "300",
  seed: "1",
  measured: "docs/nodes.json",
};

export interface Options {
  readonly demand: Demand;
  /** Mails a second that the relay accepts. */
  readonly relayPerSecond: number;
  /** Milliseconds for which a call holds the shared lock. */
  readonly holdMs: number;
  /** CPU time of a node to send a mail, in microseconds. */
  readonly sentUs: number;
  /** Lifetime of a code in seconds. */
  readonly lifeS: number;
  readonly seed: number;
  readonly measured: string;
}

export function simulationOptions(): Options {
  return readOptions(usage, defaults, (values) => {
    const number = (name: keyof typeof defaults) => positiveNumber(name, values[name]);
    return {
      demand: {
        users: number("users"),
        loginsPerSecond: number("logins"),
        meanToPeak: number("mean-to-peak"),
        enrolmentsPerDay: number("enrolments"),
        eventDays: number("event-days"),
      },
      relayPerSecond: number("relay"),
      holdMs: number("hold"),
      sentUs: number("sent-us"),
      lifeS: number("life"),
      seed: number("seed"),
      measured: values.measured,
    };
  });
}
