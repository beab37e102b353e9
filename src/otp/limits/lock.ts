import type { Kysely } from "kysely";
import type { DB } from "../../db/core/schema.ts";
import type { CodeDelivery } from "../code-delivery.ts";
import type { OTPContext } from "../context.ts";
import { attemptsExhausted } from "../refusals.ts";
import { type MailRequest, mailWaitMs } from "./mail-limits.ts";

/** A call that asks for a code. */
export interface CodeRequest extends MailRequest {
  readonly delivery: CodeDelivery;
}

/**
 * Refuses to give a code of a locked authenticator. If the code is to be mailed, the wait that is told is also that for the
 * mail: to wait as long as is said brings the code.
 *
 * @throws RESOURCE_EXHAUSTED while the authenticator is locked.
 */
export async function refuseLocked(
  db: Kysely<DB>,
  context: OTPContext,
  { locked_until: lockedUntil }: { readonly locked_until: number | null },
  request: CodeRequest,
): Promise<void> {
  const now = context.clock.now();
  if (lockedUntil === null || lockedUntil <= now) return;
  const mailInMs = request.delivery.kind === "send_code" ? await mailWaitMs(db, context, request) : 0;
  throw attemptsExhausted(Math.max(lockedUntil - now, mailInMs));
}
