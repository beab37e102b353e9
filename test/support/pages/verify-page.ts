import { randomBytes } from "node:crypto";
import { systemClock } from "../../../src/lib/clock.ts";
import { claimedPurpose } from "../../../src/otp/codes/mail-handle.ts";
import { verifyPages } from "../../../src/pages/verify-page.ts";
import type { TestApp } from "../app.ts";
import { type Answer, openHttp2, type Question, sendHttp2, start } from "../http/requests.ts";

/** The content type of HTML forms. */
export const form = { "content-type": "application/x-www-form-urlencoded" };

/** Sends one request to the service, over either version of HTTP. */
export type Send = (server: Pick<TestApp, "origin">, question: Question) => Promise<Answer>;

export const overHttp1: Send = async (server, { method = "GET", path = "/", headers = {}, body }) => {
  const reply = await fetch(server.origin + path, {
    method,
    headers,
    redirect: "manual",
    ...(body === undefined ? {} : { body }),
  });
  return { status: reply.status, headers: Object.fromEntries(reply.headers), body: await reply.text() };
};

export const overHttp2: Send = async (server, { method = "GET", path = "/", headers = {}, body }) => {
  const session = openHttp2(server);
  try {
    return await sendHttp2(session, { ":method": method, ":path": path, ...headers }, body);
  } finally {
    session.close();
  }
};

/** Serves the page without the rest of the service. It shows the codes of the handles, and accepts none. */
export function startPage(codes: Readonly<Record<string, string>> = {}) {
  const [page] = verifyPages({
    links: {
      purposeOf: claimedPurpose,
      codeOf: async (handle) => codes[handle],
      verify: async () => false,
      reportLogin: async () => {},
    },
    origin: "http://localhost",
    serviceName: "Countersign",
    defaultLanguage: "en",
    isNumeric: false,
    clock: systemClock,
    onError: (error) => {
      throw error;
    },
  });
  return start({ handler: page!.handler });
}

/** The path of the page for a handle. */
export function pathOf(handle: string): string {
  return `/verify?${new URLSearchParams({ h: handle })}`;
}

/** Submits the form of the page. */
export function post(handle: string, code?: string, headers: Question["headers"] = {}): Question {
  const fields = new URLSearchParams({ h: handle, ...(code === undefined ? {} : { code }) });
  return { method: "POST", path: "/verify", headers: { ...form, ...headers }, body: String(fields) };
}

/** The code on the page, or "". */
export function shownIn({ body }: Answer): string {
  return /name="code" value="([^"]*)"|<p class="code"[^>]*>([^<]*)</.exec(body)?.slice(1).find(Boolean) ?? "";
}

/** Forged handles: another MAC, another id, another key, one bit changed, and a malformed one. */
export function forgeries(handle: string): string[] {
  const parts = handle.split("~");
  const mac = randomBytes(16).toString("base64url");
  const last = handle.at(-1) === "A" ? "Q" : "A";
  return [
    [...parts.slice(0, -1), mac].join("~"),
    [...parts.slice(0, 2), "1574939481964544000", ...parts.slice(3)].join("~"),
    [parts[0], "no-key", ...parts.slice(2)].join("~"),
    handle.slice(0, -1) + last,
    `${parts[0]}~~`,
  ];
}
