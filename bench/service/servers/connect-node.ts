import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ConnectRouter, type Interceptor } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import Database from "better-sqlite3";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { Kysely, SqliteDialect, sql, type Transaction } from "kysely";
import { UserService } from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { makeId } from "../../../src/db/core/id.ts";
import type { DB } from "../../../src/db/core/schema.ts";

// The same methods, written as the documentation of connect-node, jose and Kysely shows: an interceptor that verifies the token,
// a transaction for each call, and queries built where they run.

const [path = "", issuer = "", jwksUri = "", audience = ""] = process.argv.slice(2);
const database = new Database(path);
database.pragma("journal_mode = WAL");
database.pragma("synchronous = FULL");
database.pragma("foreign_keys = ON");
const db = new Kysely<DB>({ dialect: new SqliteDialect({ database }) });
const jwks = createRemoteJWKSet(new URL(jwksUri));
const secret = randomBytes(32);

const authenticate: Interceptor = (next) => async (request) => {
  const token = request.header.get("authorization")?.replace(/^Bearer /, "") ?? "";
  try {
    await jwtVerify(token, jwks, { issuer, audience, algorithms: ["ES256"], typ: "at+jwt" });
  } catch {
    throw new ConnectError("the token is not valid", Code.Unauthenticated);
  }
  return next(request);
};

function codeOf(salt: Uint8Array, userId: string): string {
  return createHmac("sha256", secret).update(salt).update(userId).digest("base64url").slice(0, 8);
}

async function appendEvent(trx: Transaction<DB>, userId: string, type: string, data: object) {
  const now = Date.now();
  const user = await trx
    .updateTable("users")
    .set((eb) => ({
      sequence: eb("sequence", "+", 1),
      previous_event: eb.ref("last_event"),
      last_event: sql<number>`coalesce((select seq from sqlite_sequence where name = 'events'), 0) + 1`,
      change_time: now,
    }))
    .where("user_id", "=", userId)
    .returning(["sequence", "last_event", "previous_event", "org_id"])
    .executeTakeFirstOrThrow();
  await trx
    .insertInto("events")
    .values({
      position: user.last_event!,
      previous: user.previous_event,
      org_id: user.org_id,
      user_id: userId,
      sequence: user.sequence,
      type,
      time: now,
      actor: "bench",
      client_address: "127.0.0.1",
      reason: null,
      data: JSON.stringify(data),
    })
    .execute();
  return {
    sequence: BigInt(user.sequence),
    changeDate: timestampFromMs(now),
    resourceOwner: user.org_id,
  };
}

async function activeUser(trx: Transaction<DB>, userId: string) {
  const user = await trx
    .selectFrom("users")
    .selectAll()
    .where("user_id", "=", userId)
    .where("state", "=", "active")
    .executeTakeFirst();
  if (!user) throw new ConnectError("there is no such user", Code.NotFound);
  return user;
}

async function consume(trx: Transaction<DB>, digest: string, time: number): Promise<void> {
  await trx
    .insertInto("hits")
    .values({ digest, time, count: 1, expire_time: time + 3_600_000 })
    .onConflict((conflict) =>
      conflict.columns(["digest", "time"]).doUpdateSet((eb) => ({ count: eb("hits.count", "+", 1) })),
    )
    .execute();
}

async function enqueue(trx: Transaction<DB>, userId: string, address: string, id: string, salt: Uint8Array) {
  const now = Date.now();
  const minute = now - (now % 60_000);
  await consume(trx, `otp_email ${userId} ${address}`, now);
  await consume(trx, `address ${address}`, now);
  await consume(trx, "all", minute);
  await consume(trx, "client 127.0.0.1", minute);
  await trx
    .insertInto("outbox")
    .values({
      mail_id: makeId(now),
      purpose: "enrolment",
      user_id: userId,
      otp_email_id: id,
      code_salt: salt,
      message_id: `<${now.toString(36)}.${randomBytes(16).toString("base64url")}@bench.example>`,
      state: "queued",
      attempts: 0,
      next_attempt_time: now,
      expire_time: now + 600_000,
      create_time: now,
    })
    .execute();
}

const routes = (router: ConnectRouter) =>
  router.service(UserService, {
    addOTPEmail: ({ userId, email }) =>
      db.transaction().execute(async (trx) => {
        const address = email?.address;
        if (!address?.includes("@")) throw new ConnectError("not an address", Code.InvalidArgument);
        await activeUser(trx, userId);
        const now = Date.now();
        const otpEmailId = makeId(now);
        const salt = randomBytes(16);
        await trx
          .insertInto("otp_emails")
          .values({
            otp_email_id: otpEmailId,
            user_id: userId,
            address,
            address_canonical: address.toLowerCase(),
            code_key_id: "bench",
            code_salt: salt,
            code_expire_time: now + 600_000,
            attempts: 0,
            lock_count: 0,
            create_time: now,
            change_time: now,
          })
          .execute();
        const isMailed = email?.verification.case !== "returnCode";
        const verification = isMailed ? "send_code" : "return_code";
        const data = { otp_email_id: otpEmailId, verification };
        const details = await appendEvent(trx, userId, "otp_email.added", data);
        if (!isMailed) return { details, otpEmailId, verificationCode: codeOf(salt, userId) };
        await enqueue(trx, userId, address, otpEmailId, salt);
        return { details, otpEmailId };
      }),
    verifyOTPEmail: ({ userId, otpEmailId, code }) =>
      db.transaction().execute(async (trx) => {
        await activeUser(trx, userId);
        const row = await trx
          .selectFrom("otp_emails")
          .selectAll()
          .where("otp_email_id", "=", otpEmailId)
          .where("user_id", "=", userId)
          .executeTakeFirst();
        if (!row?.code_salt) throw new ConnectError("there is no such authenticator", Code.NotFound);
        if (!timingSafeEqual(Buffer.from(codeOf(row.code_salt, userId)), Buffer.from(code)))
          throw new ConnectError("wrong code", Code.InvalidArgument);
        const now = Date.now();
        await trx
          .updateTable("otp_emails")
          .set({
            verify_time: now,
            last_use_time: now,
            code_key_id: null,
            code_salt: null,
            code_expire_time: null,
            change_time: now,
          })
          .where("otp_email_id", "=", otpEmailId)
          .execute();
        const data = { otp_email_id: otpEmailId, verification: "code" };
        return { details: await appendEvent(trx, userId, "otp_email.verified", data) };
      }),
  });

const server = createServer(connectNodeAdapter({ routes, interceptors: [authenticate] }));
server.listen(0, "127.0.0.1", () => {
  const { port } = server.address() as AddressInfo;
  console.error(JSON.stringify({ msg: "listening", origin: `http://127.0.0.1:${port}` }));
});
process.on("SIGTERM", () => process.exit(0));
