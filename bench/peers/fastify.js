import { createHmac, randomBytes } from "node:crypto";
import Fastify from "fastify";
import { createRemoteJWKSet, jwtVerify } from "jose";
import { openRows } from "../dist/bench/lib/rows.js";

// A carefully written server with Fastify and better-sqlite3: bodies and replies validated by schema, verified tokens cached,
// prepared statements, one transaction a request. Writes the rows of the floor.

const [path, issuer, jwksUri, audience] = process.argv.slice(2);
const rows = openRows(path);
const add = rows.database.transaction((message) => rows.add(message)).immediate;
const verify = rows.database.transaction((message) => rows.verify(message)).immediate;
const jwks = createRemoteJWKSet(new URL(jwksUri));
const secret = randomBytes(32);
/** Expiry of each verified token, in seconds. */
const known = new Map();

async function authenticate(request, reply) {
  const token = request.headers.authorization?.slice("Bearer ".length) ?? "";
  if (known.get(token) > Date.now() / 1000) return;
  try {
    const options = { issuer, audience, algorithms: ["ES256"], typ: "at+jwt" };
    const { payload } = await jwtVerify(token, jwks, options);
    known.set(token, payload.exp);
  } catch {
    return reply.code(401).send({ message: "the token is not valid" });
  }
}

const string = { type: "string", minLength: 1, maxLength: 200 };
const details = {
  type: "object",
  properties: { sequence: string, changeDate: string, resourceOwner: string },
};
const addition = {
  body: {
    type: "object",
    required: ["userId", "email"],
    properties: {
      userId: string,
      email: {
        type: "object",
        required: ["address"],
        properties: {
          address: { ...string, pattern: "^[^@]+@[^@]+$" },
          sendCode: { type: "object" },
          returnCode: { type: "object" },
        },
      },
    },
  },
  response: {
    200: { type: "object", properties: { details, otpEmailId: string, verificationCode: string } },
  },
};
const verification = {
  body: {
    type: "object",
    required: ["userId", "otpEmailId", "code"],
    properties: { userId: string, otpEmailId: { ...string, pattern: "^[0-9]+$" }, code: string },
  },
  response: { 200: { type: "object", properties: { details } } },
};

const app = Fastify({ logger: false });
const service = "/countersign.user.v3alpha.UserService";
app.post(`${service}/AddOTPEmail`, { schema: addition, onRequest: authenticate }, async ({ body }) => {
  const added = add(body);
  // Derive a code as the service does.
  createHmac("sha256", secret).update(added.otpEmailId).update(body.userId).digest();
  return added;
});
app.post(`${service}/VerifyOTPEmail`, { schema: verification, onRequest: authenticate }, async ({ body }) => {
  createHmac("sha256", secret).update(body.otpEmailId).update(body.userId).digest();
  return verify(body);
});

const origin = await app.listen({ port: 0, host: "127.0.0.1" });
console.error(JSON.stringify({ msg: "listening", origin }));
process.on("SIGTERM", () => process.exit(0));
