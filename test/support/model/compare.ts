import {
  create,
  type DescMessage,
  type DescMethodUnary,
  type JsonObject,
  type JsonValue,
  type MessageInitShape,
  type MessageShape,
  toJson,
} from "@bufbuild/protobuf";
import { createLocalJWKSet, type JSONWebKeySet, jwtVerify } from "jose";
import { expect } from "vitest";
import { deliver, settle } from "./mails.ts";
import { learnCode } from "./otp-email-calls.ts";
import type { Result, System } from "./system.ts";
import { type Mail, minute, Refused, type World } from "./world.ts";

/** Compares the result of a call with the model: status, reason, wait, and each field of the reply. */
export async function compareCall<I extends DescMessage, O extends DescMessage>(
  system: System,
  world: World,
  method: DescMethodUnary<I, O>,
  result: Result<MessageShape<O>>,
  model: (made: MessageShape<O> | undefined) => MessageInitShape<O>,
): Promise<void> {
  const reply = "reply" in result ? result.reply : undefined;
  let expected: unknown;
  try {
    expected = { reply: toJson(method.output, create(method.output, model(reply))) };
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    const { code, reason, retryAfter } = error;
    expected = { code, reason, retryAfter };
  }
  expect(
    await shown(system, world, method, result),
    `${method.name} (left: the service, right: the model)`,
  ).toEqual(expected);
}

async function shown<I extends DescMessage, O extends DescMessage>(
  system: System,
  world: World,
  method: DescMethodUnary<I, O>,
  result: Result<MessageShape<O>>,
): Promise<unknown> {
  if ("refusal" in result) {
    const { code, reason, retryAfter } = result.refusal;
    return { code, reason, retryAfter };
  }
  const json = comparable(system, toJson(method.output, result.reply)) as JsonObject;
  if (typeof json.proof === "string") json.proof = await claimsOf(system, world, json.proof);
  return { reply: json };
}

/** Removes what the API leaves to the service: the reason of a mail that was not sent, and the first position. */
function comparable(system: System, json: JsonValue, name = ""): JsonValue {
  if (Array.isArray(json)) return json.map((item) => comparable(system, item));
  if (typeof json !== "object" || json === null) return json;
  if ("position" in json && "sequence" in json) {
    const { position, ...event } = json;
    notePosition(system, event, BigInt(String(position)));
    return event;
  }
  if (name === "lastMail" || name === "mail") {
    const { reason, ...mail } = json;
    const isWell = json.state === "DELIVERY_STATE_SENT" || json.state === "DELIVERY_STATE_QUEUED";
    expect(typeof reason, `the reason of ${json.state}`).toBe(isWell ? "undefined" : "string");
    return mail;
  }
  return Object.fromEntries(
    Object.entries(json).map(([key, value]) => [key, comparable(system, value, key)]),
  );
}

/** Checks that an event has the same position in all replies. */
export function notePosition(system: System, event: JsonObject, position: bigint): void {
  // The order of mails that are due at the same time is not known, so events are not watched from one of them.
  if (event.type === "mail") return;
  const name = `${event.orgId} ${event.userId} ${event.sequence}`;
  const known = system.positions.get(name) ?? position;
  expect(position, `the position of the event ${name}`).toBe(known);
  system.positions.set(name, position);
}

/** Verifies a proof with the published keys and returns its claims. */
async function claimsOf(system: System, world: World, proof: string): Promise<string> {
  const keys = JSON.parse(await system.keysOfProofs()) as JSONWebKeySet;
  const { payload } = await jwtVerify(proof, createLocalJWKSet(keys), {
    algorithms: ["ES256"],
    typ: "otp-proof+jwt",
    currentDate: new Date(world.now),
  });
  expect(payload).not.toHaveProperty("acr");
  const { iss, sub, aud, nonce, amr, jti, auth_time, exp } = payload;
  return JSON.stringify({ iss, sub, aud, nonce, amr, jti, auth_time, exp });
}

/** The service abandons a mail if the next attempt would be too late. Attempts are at most this far apart. */
const attemptsApartMax = 5 * minute;

/** Compares the received and the queued mails, and learns the codes in them. */
export async function compareMails(system: System, world: World): Promise<void> {
  const { received, waiting } = await system.mails();
  const left = received.map((mail) => ({ ...mail, ...contentOf(mail.text) }));
  for (const { to, purpose, code, link, otpEmailId } of deliver(world)) {
    const candidates = left.filter(
      (mail) =>
        mail.to.toLowerCase() === to &&
        mail.purpose === purpose &&
        (code?.value === undefined || mail.code === code.value),
    );
    const mail = candidates.find(({ text }) => text.includes(otpEmailId)) ?? candidates[0];
    expect(
      mail,
      `a mail (${purpose}) to ${to} with ${code?.value === undefined ? "any code" : `the code ${code.value}`}`,
    ).toBeDefined();
    if (!mail) return;
    left.splice(left.indexOf(mail), 1);
    if (code) learnCode(code, mail.code);
    if (link !== undefined) expect(mail.text).toContain(link.replaceAll("{{.Code}}", code?.value ?? ""));
    if (purpose === "notice") expect(mail.text).not.toMatch(/https?:/);
  }
  expect(left, "unexpected mails").toEqual([]);

  for (const mail of [...world.mails]) {
    const isThis = (other: (typeof waiting)[number]) =>
      other.otpEmailId === mail.otpEmailId &&
      other.purpose === mail.purpose &&
      other.createTime === mail.createTime;
    const [row] = waiting.splice(waiting.findIndex(isThis) >>> 0, 1);
    if (row) mail.dueTime = row.dueTime;
    else abandon(world, mail);
  }
  expect(waiting, "mails that should not be queued").toEqual([]);
}

function abandon(world: World, mail: Mail): void {
  const isLate = mail.isDeferred && mail.expireTime - world.now <= attemptsApartMax;
  expect(isLate, `the mail ${JSON.stringify(mail)} was abandoned early`).toBe(true);
  const user = world.users.find(({ userId }) => userId === mail.userId);
  const otpEmail = user?.otpEmails.find((o) => o.otpEmailId === mail.otpEmailId);
  if (user && otpEmail) settle(world, user, otpEmail, mail, "failed");
}

/** The code is on a line of its own. */
function contentOf(text: string): { purpose: Mail["purpose"]; code: string | undefined } {
  const login = /^\d{6}$/m.exec(text)?.[0];
  if (login !== undefined) return { purpose: "login", code: login };
  const enrolment = /^[0-9A-HJKMNP-TV-Z]{8}$/m.exec(text)?.[0];
  return { purpose: enrolment === undefined ? "notice" : "enrolment", code: enrolment };
}
