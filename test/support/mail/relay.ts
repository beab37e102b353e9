import { readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { connect, createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { SMTPServer, type SMTPServerOptions } from "smtp-server";
import { onTestFinished } from "vitest";
import type { OnEnd } from "../folder.ts";

/** A mail as received by a relay, without dot-stuffing. */
export interface ReceivedMail {
  readonly from: string;
  readonly to: string[];
  readonly raw: string;
}

export interface TestRelay {
  readonly port: number;
  readonly received: ReceivedMail[];
  /** Number of connections so far. */
  connections: number;
  stop(): Promise<void>;
}

/** Starts a real SMTP server on `port`, or a free one. `onMail` may throw to reject a mail. No TLS by default. */
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

/** Options of a relay with a certificate from the folder `tls`. */
export function certificate(name: "relay" | "other-name" | "expired") {
  const read = (file: string) => readFileSync(new URL(`./tls/${file}`, import.meta.url), "utf8");
  return { cert: read(`${name}.cert.pem`), key: read(`${name}.key.pem`), disabledCommands: [] };
}

/** Creates an error that a handler of the relay replies with. */
export function refusal(responseCode: number, message: string): Error {
  return Object.assign(new Error(message), { responseCode });
}

/** Reaction of a scripted relay: a reply, silence, or a reset of the connection. */
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
  /** After the first bytes of the message. Undefined: keep reading. */
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
  /** Everything that clients sent. */
  bytes(): string;
  connections: number;
  script: Script;
  /** Sends a line to all connected clients, such as a late reply. */
  say(line: string): void;
}

/** Starts a relay that follows a script, right or wrong. */
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

/** Starts a proxy to a relay that records what clients send. */
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

/** Listens on a free port until the test ends. Returns the port. */
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

/** Opens a port that accepts no connections, because its queue is full. */
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
