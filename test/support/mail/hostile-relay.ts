import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { onTestFinished } from "vitest";

/** A mail that was received up to its final dot. */
export interface Copy {
  readonly to: string;
  readonly raw: string;
  /** Milliseconds since the epoch. */
  readonly time: number;
  /** Whether the relay sent its 250. Otherwise it reset the connection, or replied with an error. */
  isTold: boolean;
}

export interface HostileRelay {
  readonly url: string;
  readonly copies: readonly Copy[];
  /** Count of each fault, by name. */
  readonly faults: ReadonlyMap<string, number>;
  /** Starts of its rests, in milliseconds since the epoch. */
  readonly restTimes: readonly number[];
  /** Resets all connections, and refuses new ones for a while. */
  rest(ms: number): Promise<void>;
}

export interface HostileOptions {
  /** Numbers from 0 to 1, determined by a seed. */
  readonly random: () => number;
  /** Probability of a fault at each step of a dialogue. */
  readonly faultRate: number;
  /** Reports whether a recipient is rejected permanently. */
  readonly refuses: (to: string) => boolean;
}

/** Faults by step of the dialogue. */
const faults: Readonly<Record<string, readonly [name: string, reply: string | "(reset)"][]>> = {
  EHLO: [["EHLO reset", "(reset)"]],
  MAIL: [
    ["MAIL 421", "421 4.3.2 too busy"],
    ["MAIL 451", "451 4.3.0 not now"],
    ["MAIL reset", "(reset)"],
  ],
  RCPT: [
    ["RCPT 450", "450 4.2.1 greylisted"],
    ["RCPT 452", "452 4.2.2 mailbox full"],
    ["RCPT reset", "(reset)"],
  ],
  DATA: [
    ["DATA 451", "451 4.3.0 not now"],
    ["DATA reset", "(reset)"],
  ],
  dot: [
    ["dot 451", "451 4.3.0 not stored"],
    ["dot garbage", "\u0000\u0007what?"],
    ["dot reset before it is stored", "(reset)"],
    ["dot reset after it is stored", "(reset)"],
  ],
};

/** Starts a relay that is slow, replies with errors and resets connections at random. */
export async function startHostileRelay({
  random,
  faultRate,
  refuses,
}: HostileOptions): Promise<HostileRelay> {
  const copies: Copy[] = [];
  const counts = new Map<string, number>();
  const sockets = new Set<Socket>();
  const restTimes: number[] = [];

  /** Returns undefined for no fault. */
  function faultAt(step: string) {
    const choices = faults[step] ?? [];
    if (choices.length === 0 || random() >= faultRate) return undefined;
    const fault = choices[Math.floor(random() * choices.length)]!;
    counts.set(fault[0], (counts.get(fault[0]) ?? 0) + 1);
    return fault;
  }

  function converse(socket: Socket): void {
    let pending = "";
    let isMessage = false;
    let to = "";
    const say = (reply: string, said = () => {}) => {
      const write = () => void socket.write(`${reply}\r\n`, (error) => (error ? undefined : said()));
      if (reply === "(reset)") socket.resetAndDestroy();
      else if (random() < faultRate) setTimeout(write, random() * 200);
      else write();
    };
    const take = (raw: string) => {
      const fault = faultAt("dot");
      const copy = { to, raw, time: Date.now(), isTold: false };
      if (!fault || fault[0].endsWith("after it is stored")) copies.push(copy);
      if (fault) return say(fault[1]);
      say("250 2.0.0 taken", () => {
        copy.isTold = true;
      });
    };
    const obey = (line: string) => {
      const command = line.slice(0, 4).toUpperCase();
      to = /^RCPT TO:<([^>]*)>/i.exec(line)?.[1] ?? to;
      if (command === "RCPT" && refuses(to)) return say("550 5.7.1 not here");
      const fault = faultAt(command);
      if (fault) return say(fault[1]);
      if (command === "DATA") isMessage = true;
      say({ DATA: "354 go on", QUIT: "221 2.0.0 bye" }[command] ?? "250 2.0.0 ok");
    };
    socket.on("data", (chunk) => {
      pending += chunk.toString("latin1");
      for (;;) {
        const end = pending.indexOf(isMessage ? "\r\n.\r\n" : "\r\n");
        if (end < 0) return;
        const text = pending.slice(0, end);
        pending = pending.slice(end + (isMessage ? 5 : 2));
        if (!isMessage) obey(text);
        else {
          isMessage = false;
          take(text);
        }
      }
    });
    say("220 relay.test ESMTP");
  }

  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    // The system accepted it before the listener was closed.
    if (!server.listening) return void socket.resetAndDestroy();
    converse(socket);
  });
  const stop = async () => {
    const closed = server.listening && new Promise((resolve) => server.close(resolve));
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  onTestFinished(stop);
  return {
    url: `smtp://127.0.0.1:${port}`,
    copies,
    faults: counts,
    restTimes,
    async rest(ms) {
      restTimes.push(Date.now());
      await stop();
      await new Promise((resolve) => setTimeout(resolve, ms));
      server.listen(port, "127.0.0.1");
      await once(server, "listening");
    },
  };
}
