import { createServer, request as httpRequest } from "node:http";
import { connect as connectHttp2, createServer as createHttp2Server } from "node:http2";
import { type AddressInfo, connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import {
  type CaughtMail,
  type DevMailbox,
  type DevMailboxOptions,
  startDevMailbox,
} from "../../../src/mail/dev-mailbox/dev-mailbox.ts";
import { devMailboxPages } from "../../../src/mail/dev-mailbox/pages.ts";
import type { OutgoingMail } from "../../../src/mail/mailer.ts";
import { createSmtpMailer } from "../../../src/mail/smtp/smtp-mailer.ts";
import { MovableClock } from "../../support/clock.ts";
import { waitFor } from "../../support/wait-for.ts";

const never = new AbortController().signal;

async function start(options: Partial<DevMailboxOptions> = {}) {
  const mailbox = await startDevMailbox({ clock: new MovableClock(), ...options });
  onTestFinished(() => mailbox[Symbol.asyncDispose]());
  const from = { name: "Countersign", address: "codes@example.com" };
  const mailer = createSmtpMailer({ url: mailbox.smtpUrl, from });
  onTestFinished(() => mailer[Symbol.asyncDispose]());
  const send = (mail: Partial<OutgoingMail> = {}) =>
    mailer.send(
      {
        to: "mini@mouse.com",
        subject: "Your code",
        text: "ABCD2345\n",
        html: "<p>ABCD2345</p>",
        messageId: "<1@x.io>",
        date: new Date(0),
        ...mail,
      },
      never,
    );
  return { mailbox, send };
}

describe("the mailbox", () => {
  it("keeps received mails", async () => {
    const { mailbox, send } = await start();
    expect(await send()).toEqual({ kind: "sent" });
    expect(mailbox.messages()).toEqual([
      {
        id: expect.stringMatching(/^[\w-]{22}$/),
        to: "mini@mouse.com",
        from: '"Countersign" <codes@example.com>',
        subject: "Your code",
        text: "ABCD2345\n",
        html: "<p>ABCD2345</p>",
        receivedTime: "2026-11-23T09:00:00.000Z",
      },
    ]);
  });

  it("only listens on the loopback interface", async () => {
    const { mailbox } = await start();
    expect(mailbox.smtpUrl).toMatch(/^smtp:\/\/127\.0\.0\.1:\d+$/);
  });

  it("lists mails newest first, of all addresses or one in any case", async () => {
    const { mailbox, send } = await start();
    for (const to of ["a@x.io", "b@x.io", "A@x.io", "a@x.io.example"]) await send({ to, subject: to });
    const subjects = (to?: string) => mailbox.messages(to).map((mail) => mail.subject);
    expect(subjects()).toEqual(["a@x.io.example", "A@x.io", "b@x.io", "a@x.io"]);
    expect(subjects("a@X.IO")).toEqual(["A@x.io", "a@x.io"]);
    expect(subjects("@x.io")).toEqual([]);
    expect(subjects("")).toEqual([]);
  });

  it("reports each mail", async () => {
    const reported: CaughtMail[] = [];
    const { mailbox, send } = await start({ onMail: (mail) => reported.push(mail) });
    await send();
    expect(reported).toEqual(mailbox.messages());
  });

  it("keeps the last 500", async () => {
    const { mailbox } = await start();
    const mails = Array.from({ length: 6 }, (_, mail) => [
      "MAIL FROM:<>",
      ...Array.from({ length: mail === 5 ? 2 : 100 }, (_, i) => `RCPT TO:<${mail * 100 + i}@x.io>`),
      "DATA",
      "\r\njust text\r\n.",
    ]);
    await dialogue(mailbox, ["EHLO x", ...mails.flat(), "QUIT"]);
    const recipients = mailbox.messages().map((mail) => mail.to);
    expect(recipients).toHaveLength(500);
    expect([recipients[0], recipients.at(-1)]).toEqual(["501@x.io", "2@x.io"]);
  });

  it("rejects a mail whose listener throws, and accepts the next", async () => {
    let fail = true;
    const { mailbox, send } = await start({
      onMail: () => {
        if (fail) throw new Error("no");
      },
    });
    expect(await send()).toMatchObject({ kind: "retry" });
    fail = false;
    expect(await send()).toEqual({ kind: "sent" });
    expect(mailbox.messages()).toHaveLength(1);
  });

  it("rejects a message of more than 1 MiB, and accepts the next", async () => {
    const { mailbox, send } = await start();
    expect(await send({ text: "x".repeat(1_100_000) })).toMatchObject({ kind: "reject", reason: /^552/ });
    expect(await send()).toEqual({ kind: "sent" });
    expect(mailbox.messages()).toHaveLength(1);
  });

  it("keeps a mail for each recipient, also of a message without headers", async () => {
    const { mailbox } = await start();
    await dialogue(mailbox, [
      "EHLO x",
      "MAIL FROM:<>",
      "RCPT TO:<a@x.io>",
      "RCPT TO:<b@x.io>",
      "DATA",
      "\r\njust text\r\n.",
      "QUIT",
    ]);
    expect(mailbox.messages().map(({ id: _, receivedTime: __, ...rest }) => rest)).toEqual(
      ["b@x.io", "a@x.io"].map((to) => ({ to, from: "", subject: "", text: "just text\n", html: "" })),
    );
  });

  it("survives clients that disconnect", async () => {
    const { mailbox, send } = await start();
    const { port } = new URL(mailbox.smtpUrl);
    for (const text of [
      "",
      "EHLO x\r\n",
      "EHLO x\r\nMAIL FROM:<a@x.io>\r\nRCPT TO:<b@x.io>\r\nDATA\r\nhalf",
    ]) {
      await new Promise<void>((resolve) => {
        const socket = connect(Number(port), "127.0.0.1", () => {
          socket.write(text, () => setTimeout(() => socket.resetAndDestroy(), 20));
        });
        socket.on("close", () => resolve());
      });
    }
    expect(await send()).toEqual({ kind: "sent" });
    expect(mailbox.messages()).toHaveLength(1);
  });

  it("closes while a client is connected", async () => {
    const { mailbox } = await start();
    const socket = connect(Number(new URL(mailbox.smtpUrl).port), "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    await new Promise((resolve) => socket.once("data", resolve));
    await mailbox[Symbol.asyncDispose]();
  });
});

/** Sends lines, each after the reply to the last. */
async function dialogue(mailbox: DevMailbox, lines: string[]): Promise<void> {
  const socket = connect(Number(new URL(mailbox.smtpUrl).port), "127.0.0.1");
  const pending = [...lines];
  let reply = "";
  socket.on("data", (chunk) => {
    reply += chunk.toString();
    if (!/^\d{3} .*\r\n$/m.test(reply)) return;
    reply = "";
    const line = pending.shift();
    if (line !== undefined) socket.write(`${line}\r\n`);
  });
  await new Promise((resolve) => socket.once("close", resolve));
}

interface Reply {
  status: number;
  headers: Record<string, string | undefined>;
  body: string;
}

type Get = (path: string, method?: string) => Promise<Reply>;

function serve1(mailbox: Pick<DevMailbox, "messages">): Promise<Get> {
  const pages = devMailboxPages(mailbox);
  const server = createServer((request, response) => {
    const handler = pages.get(request.url?.split("?", 1)[0] ?? "");
    if (handler) handler(request, response);
    else response.writeHead(404).end();
  });
  onTestFinished(() => void server.close().closeAllConnections());
  const get = (port: number): Get => {
    return (path, method = "GET") =>
      new Promise((resolve, reject) => {
        const request = httpRequest({ host: "127.0.0.1", port, path, method }, async (response) => {
          let body = "";
          for await (const chunk of response) body += chunk;
          const headers = response.headers as Reply["headers"];
          resolve({ status: response.statusCode ?? 0, headers, body });
        });
        request.on("error", reject).end();
      });
  };
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve(get((server.address() as AddressInfo).port)));
  });
}

async function serve2(mailbox: Pick<DevMailbox, "messages">): Promise<Get> {
  const pages = devMailboxPages(mailbox);
  const server = createHttp2Server((request, response) => {
    pages.get(request.url.split("?", 1)[0] ?? "")?.(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  onTestFinished(() => {
    session.destroy();
    server.close();
  });
  return async (path, method = "GET") => {
    const stream = session.request({ ":path": path, ":method": method });
    const headers = await new Promise<Record<string, unknown>>((resolve) => stream.once("response", resolve));
    let body = "";
    for await (const chunk of stream) body += chunk;
    return { status: Number(headers[":status"]), headers: headers as Reply["headers"], body };
  };
}

const hostile = `"><script>alert(1)</script>'&amp;`;

const caught: CaughtMail[] = [
  {
    id: "2",
    to: "mini@mouse.com",
    from: `${hostile}<codes@example.com>`,
    subject: hostile,
    text: `ABCD2345\n${hostile}`,
    html: `<p title='x'>ABCD2345</p><script>alert(2)</script>`,
    receivedTime: "2026-11-23T09:00:01.000Z",
  },
  {
    id: "1",
    to: "max@mouse.com",
    from: "",
    subject: "",
    text: "plain",
    html: "",
    receivedTime: "2026-11-23T09:00:00.000Z",
  },
];

const mailbox: Pick<DevMailbox, "messages"> = {
  messages: (to) => caught.filter((mail) => to === undefined || mail.to === to),
};

describe.each<[string, typeof serve1]>([
  ["HTTP/1.1", serve1],
  ["HTTP/2", serve2],
])("the pages over %s", (_name, serve) => {
  it("list the mails as JSON", async () => {
    const get = await serve(mailbox);
    const { status, headers, body } = await get("/dev/mailbox/messages");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("application/json");
    expect(headers["cache-control"]).toBe("no-store");
    const expected = caught.map(({ receivedTime, ...mail }) => ({ ...mail, received_time: receivedTime }));
    expect(JSON.parse(body)).toEqual(expected);
  });

  it("list the mails to one address", async () => {
    const get = await serve(mailbox);
    const ids = async (query: string) =>
      (JSON.parse((await get(`/dev/mailbox/messages${query}`)).body) as { id: string }[]).map(({ id }) => id);
    expect(await ids("?to=max@mouse.com")).toEqual(["1"]);
    expect(await ids("?to=max%40mouse.com")).toEqual(["1"]);
    expect(await ids("?to=nobody")).toEqual([]);
    expect(await ids("?other=1")).toEqual(["2", "1"]);
  });

  it("show the mails, with everything in them escaped", async () => {
    const get = await serve(mailbox);
    const { status, headers, body } = await get("/dev/mailbox");
    expect(status).toBe(200);
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(headers["content-security-policy"]).toMatch(/^default-src 'none'; style-src 'unsafe-inline'; /);
    expect(headers["content-security-policy"]).not.toMatch(/script-src|\*/);
    expect(headers).toMatchObject({
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
    });
    expect(body).not.toContain("<script");
    expect(body).toContain("2026-11-23T09:00:01.000Z");
    expect(body).toContain("To: mini@mouse.com");
    expect(body).toContain("<pre>ABCD2345\n&quot;&gt;&lt;script&gt;");
    expect(body).toContain("&#39;&amp;amp;");
    expect(body.match(/<iframe /g)).toHaveLength(1);
    expect(body).toContain(
      '<iframe sandbox title="The HTML part" srcdoc="&lt;p title=&#39;x&#39;&gt;ABCD2345',
    );
  });

  it.each(["/dev/mailbox", "/dev/mailbox/messages"])("answer HEAD without a body: %s", async (path) => {
    const get = await serve(mailbox);
    const [full, head] = [await get(path), await get(path, "HEAD")];
    expect(head).toMatchObject({ status: 200, body: "" });
    expect(head.headers["content-length"]).toBe(`${Buffer.byteLength(full.body)}`);
  });

  it.each(["POST", "PUT", "DELETE", "OPTIONS"])("refuse %s", async (method) => {
    const get = await serve(mailbox);
    for (const path of ["/dev/mailbox", "/dev/mailbox/messages"]) {
      const reply = await get(path, method);
      expect(reply.status).toBe(405);
      expect(reply.headers.allow).toBe("GET, HEAD");
    }
  });
});

describe("a client that resets its HTTP/2 stream", () => {
  it.each(["GET", "POST"])("causes no error: %s", async (method) => {
    let reset = false;
    const pages = devMailboxPages(mailbox);
    const server = createHttp2Server((request, response) => {
      request.stream.once("close", () => {
        pages.get("/dev/mailbox")?.(request, response);
        reset = true;
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const session = connectHttp2(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    onTestFinished(() => {
      session.destroy();
      server.close();
    });
    const stream = session.request({ ":path": "/dev/mailbox", ":method": method });
    stream.on("error", () => {});
    stream.close(8);
    await waitFor("the page is requested after the reset", () => reset);
  });
});
