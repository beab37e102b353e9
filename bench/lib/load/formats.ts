import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import {
  AddOTPEmailRequestSchema,
  AddOTPEmailResponseSchema,
  VerifyOTPEmailRequestSchema,
  VerifyOTPEmailResponseSchema,
} from "../../../gen/countersign/user/v3alpha/user_service_pb.ts";
import { ownAddressOf, userIdOf } from "../workload.ts";

/** An authenticator whose code was not verified yet. */
export interface Pending {
  readonly user: number;
  readonly otpEmailId: string;
  readonly code: string;
}

export interface Addition {
  readonly user: number;
  readonly address: string;
  readonly isMailed: boolean;
}

export interface Request {
  readonly path: string;
  readonly body: Uint8Array;
}

/** How calls are encoded and replies decoded. `readAdded` and `readVerified` throw unless the reply is a success. */
export interface CallFormat {
  readonly http: 1 | 2;
  readonly contentType: string;
  add(addition: Addition): Request;
  readAdded(body: Uint8Array, addition: Addition): Pending;
  verify(pending: Pending): Request;
  readVerified(body: Uint8Array): void;
}

export type CallFormatName = "connect" | "grpc" | "rest" | "better-auth";

const service = "/countersign.user.v3alpha.UserService";

const utf8 = (value: unknown) => Buffer.from(JSON.stringify(value));

function parse(body: Uint8Array): Record<string, unknown> {
  return JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString());
}

function emailOf({ address, isMailed }: Addition) {
  return { address, ...(isMailed ? { sendCode: {} } : { returnCode: {} }) };
}

function pendingOf(
  reply: { readonly otpEmailId?: unknown; readonly verificationCode?: unknown },
  { user, isMailed }: Addition,
): Pending {
  const { otpEmailId, verificationCode: code = "" } = reply;
  if (typeof otpEmailId !== "string" || typeof code !== "string" || (code === "") !== isMailed)
    throw new Error("the reply to AddOTPEmail has no id, or lacks the requested code");
  return { user, otpEmailId, code };
}

function requireSequence(details: unknown): void {
  if (Number((details as { sequence?: unknown } | undefined)?.sequence) >= 1) return;
  throw new Error("the reply to VerifyOTPEmail has no details");
}

const json = {
  http: 1,
  contentType: "application/json",
  readAdded: (body, addition) => pendingOf(parse(body), addition),
  readVerified: (body) => requireSequence(parse(body).details),
} as const satisfies Partial<CallFormat>;

function frame(message: Uint8Array): Uint8Array {
  const framed = Buffer.allocUnsafe(5 + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, 5);
  return framed;
}

/** @throws unless the body is one message: a gRPC error has none. */
function unframe(body: Uint8Array): Uint8Array {
  if (body[0] === 0 && Buffer.from(body.buffer, body.byteOffset).readUInt32BE(1) === body.length - 5)
    return body.subarray(5);
  throw new Error("the reply is not a single gRPC message");
}

function verificationOf({
  isMailed,
}: Addition): NonNullable<
  NonNullable<MessageInitShape<typeof AddOTPEmailRequestSchema>["email"]>["verification"]
> {
  return isMailed ? { case: "sendCode", value: {} } : { case: "returnCode", value: {} };
}

export const callFormats: Readonly<Record<CallFormatName, CallFormat>> = {
  connect: {
    ...json,
    add: (addition) => ({
      path: `${service}/AddOTPEmail`,
      body: utf8({ userId: userIdOf(addition.user), email: emailOf(addition) }),
    }),
    verify: ({ user, otpEmailId, code }) => ({
      path: `${service}/VerifyOTPEmail`,
      body: utf8({ userId: userIdOf(user), otpEmailId, code }),
    }),
  },
  rest: {
    ...json,
    add: (addition) => ({
      path: `/v3alpha/users/${userIdOf(addition.user)}/otp_email`,
      body: utf8({ email: emailOf(addition) }),
    }),
    verify: ({ user, otpEmailId, code }) => ({
      path: `/v3alpha/users/${userIdOf(user)}/otp_email/${otpEmailId}/verify`,
      body: utf8({ code }),
    }),
  },
  grpc: {
    http: 2,
    contentType: "application/grpc",
    add: (addition) => {
      const email = { address: addition.address, verification: verificationOf(addition) };
      const message = create(AddOTPEmailRequestSchema, { userId: userIdOf(addition.user), email });
      return { path: `${service}/AddOTPEmail`, body: frame(toBinary(AddOTPEmailRequestSchema, message)) };
    },
    readAdded: (body, addition) => pendingOf(fromBinary(AddOTPEmailResponseSchema, unframe(body)), addition),
    verify: ({ user, otpEmailId, code }) => {
      const message = create(VerifyOTPEmailRequestSchema, { userId: userIdOf(user), otpEmailId, code });
      return {
        path: `${service}/VerifyOTPEmail`,
        body: frame(toBinary(VerifyOTPEmailRequestSchema, message)),
      };
    },
    readVerified: (body) => requireSequence(fromBinary(VerifyOTPEmailResponseSchema, unframe(body)).details),
  },
  // Users have one address each. Codes are only mailed, so its server always generates the same one.
  "better-auth": {
    http: 1,
    contentType: "application/json",
    add: ({ user }) => ({
      path: "/api/auth/email-otp/send-verification-otp",
      body: utf8({ email: ownAddressOf(user), type: "email-verification" }),
    }),
    readAdded: (body, { user }) => {
      if (parse(body).success !== true) throw new Error("better-auth sent no code");
      return { user, otpEmailId: "", code: betterAuthCode };
    },
    verify: ({ user, code }) => ({
      path: "/api/auth/email-otp/verify-email",
      body: utf8({ email: ownAddressOf(user), otp: code }),
    }),
    readVerified: (body) => {
      if (parse(body).status !== true) throw new Error("better-auth did not verify the code");
    },
  },
};

/** A challenge whose code was not verified yet. */
export interface Challenge extends Pending {
  readonly challengeId: string;
}

const challenges = "/countersign.user.v3alpha.ChallengeService";

/** Encodes and decodes the two calls of a login in Connect JSON. */
export const login = {
  challenge: ({ user, otpEmailId }: Pending): Request => ({
    path: `${challenges}/CreateOTPEmailChallenge`,
    body: utf8({ userId: userIdOf(user), otpEmailId, returnCode: {}, audience: "https://bench.example" }),
  }),
  readChallenge(body: Uint8Array, pending: Pending): Challenge {
    const { challengeId, code } = parse(body);
    if (typeof challengeId === "string" && typeof code === "string") return { ...pending, challengeId, code };
    throw new Error("the reply to CreateOTPEmailChallenge has no id or no code");
  },
  verify: ({ user, otpEmailId, challengeId, code }: Challenge): Request => ({
    path: `${challenges}/VerifyOTPEmailChallenge`,
    body: utf8({ userId: userIdOf(user), otpEmailId, challengeId, code }),
  }),
  readProof(body: Uint8Array): void {
    if (typeof parse(body).proof !== "string")
      throw new Error("the reply to VerifyOTPEmailChallenge has no proof");
  },
} as const;

const betterAuthCode = "123456";
