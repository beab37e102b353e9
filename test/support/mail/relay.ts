import { readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { onTestFinished } from "vitest";
import type { OnEnd } from "../folder.ts";

/** A mail as a relay has got it, byte for byte after the dots were unstuffed. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: string[];
  readonly raw: string;
}

export interface TestRelay {
  readonly port: number;
  readonly received: ReceivedMail[];
  /** How many connections were opened. */
  connections: number;
  stop(): Promise<void>;
}

/** A real SMTP server on a free port, or on `port`. `onMail` may throw to refuse a mail. Without TLS unless told so. */
export async function startRelay(
  options: SMTPServerOptions & { port?: number; onMail?: (mail: ReceivedMail) => void | Promise<void> } = {},
  onEnd: OnEnd = onTestFinished,
): Promise<TestRelay> {
  const { port = 0, onMail, ...serverOptions } = options;
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ["STARTTLS"],
    disableReverseLookup: true,
    hideENHANCEDSTATUSCODES: true,
    closeTimeout: 1,
    logger: false,
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("end", async () => {
        const mail = {
          from: session.envelope.mailFrom ? session.envelope.mailFrom.address : "",
          to: session.envelope.rcptTo.map((recipient) => recipient.address),
          raw: Buffer.concat(chunks).toString("latin1"),
        };
        try {
          await onMail?.(mail);
          relay.received.push(mail);
          callback();
        } catch (error) {
          callback(error as Error);
        }
      });
    },
    ...serverOptions,
  });
  server.on("error", () => {});
  server.on("connect", () => {
    relay.connections++;
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const relay: TestRelay = {
    port: (server.server.address() as AddressInfo).port,
    received: [],
    connections: 0,
    stop: () => new Promise((resolve) => server.close(resolve)),
  };
  onEnd(relay.stop);
  return relay;
}

/** The options of a relay with a certificate from the folder `tls`. */
export function certificate(name: "relay" | "other-name" | "expired") {
  const read = (file: string) => readFileSync(new URL(`./tls/${file}`, import.meta.url), "utf8");
  return { cert: read(`${name}.cert.pem`), key: read(`${name}.key.pem`), disabledCommands: [] };
}

/** An error that a handler of the relay answers with. */
export function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

/** What a scripted relay does at a point: a reply, silence, or a reset of the connection. */
export type Step = string | "(silence)" | "(reset)";

export interface Script {
  greeting?: Step;
  EHLO?: Step;
  HELO?: Step;
  STARTTLS?: Step;
  AUTH?: Step;
  MAIL?: Step;
  RCPT?: Step;
  DATA?: Step;
  /** After the first bytes of the message. Undefined: the relay reads on. */
  body?: Step;
  /** After the final dot. */
  dot?: Step;
  QUIT?: Step;
}

const cooperative: Script = {
  greeting: "220 relay.test ESMTP",
  EHLO: "250 relay.test",
  HELO: "250 relay.test",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go on",
  dot: "250 2.0.0 ok",
  QUIT: "221 bye",
};

export interface ScriptedRelay {
  readonly port: number;
  /** All that clients sent. */
  bytes(): string;
  connections: number;
  script: Script;
  /** Says a line to all that are connected, such as one that they still wait for. */
  say(line: string): void;
}

/** A relay that does what a script says at each point of the dialogue, right or wrong. */
export async function startScriptedRelay(script: Script): Promise<ScriptedRelay> {
  const chunks: Buffer[] = [];
  const sockets = new Set<Socket>();
  const port = await listen((socket) => {
    relay.connections++;
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("data", (chunk) => chunks.push(chunk));
    converse(socket, () => ({ ...cooperative, ...relay.script }));
  });
  const relay: ScriptedRelay = {
    port,
    script,
    connections: 0,
    bytes: () => Buffer.concat(chunks).toString("latin1"),
    say(line) {
      for (const socket of sockets) socket.write(`${line}\r\n`);
    },
  };
  return relay;
}

function converse(socket: Socket, script: () => Script): void {
  let pending = "";
  let inBody = false;
  const act = (step: Step | undefined) => {
    if (step === undefined || step === "(silence)") return;
    if (step === "(reset)") socket.resetAndDestroy();
    else socket.write(`${step.replaceAll("\n", "\r\n")}\r\n`);
  };
  act(script().greeting);
  socket.on("data", (chunk) => {
    pending += chunk.toString("latin1");
    for (;;) {
      if (inBody) {
        const end = `\r\n${pending}`.indexOf("\r\n.\r\n");
        if (end < 0) return act(script().body);
        pending = pending.slice(end + 3);
        inBody = false;
        act(script().dot);
      }
      const end = pending.indexOf("\r\n");
      if (end < 0) return;
      const verb = pending.slice(0, end).split(/[ :]/, 1)[0]?.toUpperCase() ?? "";
      pending = pending.slice(end + 2);
      const step = script()[verb as keyof Script] ?? "502 5.5.1 no such command";
      inBody = verb === "DATA" && step.startsWith("354");
      act(step);
    }
  });
}

/** A wire to a relay that can be listened to: what goes through it towards the relay. */
export async function startTap(relayPort: number): Promise<{ port: number; bytes: () => string }> {
  const chunks: Buffer[] = [];
  const port = await listen((socket) => {
    const onward = connect(relayPort, "127.0.0.1");
    onward.on("error", () => socket.destroy());
    socket.on("data", (chunk) => chunks.push(chunk));
    socket.pipe(onward).pipe(socket);
  });
  return { port, bytes: () => Buffer.concat(chunks).toString("latin1") };
}

/** Listens on a free port until the test is over. Returns the port. */
export async function listen(onSocket: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => sockets.delete(socket));
    onSocket(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return (server.address() as AddressInfo).port;
}

/** A port that takes no connection: it listens, never accepts, and its queue is full. */
export async function startDeafListener(): Promise<number> {
  const listener = new Worker(
    `const { parentPort } = require("node:worker_threads");
    const server = require("node:net").createServer();
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
    });`,
    { eval: true },
  );
  onTestFinished(() => void listener.terminate());
  const port = await new Promise<number>((resolve) => listener.once("message", resolve));
  for (let i = 0; i < 4; i++) {
    const waiting = connect(port, "127.0.0.1").on("error", () => {});
    onTestFinished(() => void waiting.destroy());
  }
  await sleep(50);
  return port;
}
