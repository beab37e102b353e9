import type { Transaction } from "kysely";
import type { DB } from "../../db/core/schema.ts";
import type { Caller } from "../../db/core/write.ts";
import type { OTPContext } from "../context.ts";
import { type Failures, setFailures, withFailure } from "./failures.ts";

/** An attempt that is counted. `otpEmail` is the authenticator as it was before. */
export interface Attempt {
  readonly otpEmail: Failures & { readonly otp_email_id: string };
}

/** What a typed code is tried on. */
export interface CodeCheck<A extends Attempt, R> {
  /** Counts the attempt with a guarded statement. Undefined if there is none to be had. */
  count(trx: Transaction<DB>): Promise<A | undefined>;
  /** Compares the code. Undefined if it cannot be checked any more: its key was retired. */
  isRight(attempt: A): boolean | undefined;
  /** Uses the right code. Undefined if it cannot be used any more. */
  use(trx: Transaction<DB>, attempt: A): Promise<R | undefined>;
  /** Tells of the wrong code in the trail. */
  recordFailure(trx: Transaction<DB>, attempt: A & { readonly failed: Failures }): Promise<void>;
}

export type Verdict<R> =
  | { readonly kind: "refused" | "expired" | "wrong" }
  | { readonly kind: "right"; readonly used: R };

/**
 * Tries a code in three steps, in one transaction: the attempt is counted, the code compared, and what came of it written.
 * Nobody hears of the outcome before all of it is committed, so that nothing can be learned from a code whose attempt does
 * not count, whatever fails: a commit that fails takes the answer with it, and a step that fails undoes the transaction, after
 * which the attempt is counted alone. Of any number of simultaneous calls only one wins.
 */
export async function checkCode<A extends Attempt, R>(
  context: OTPContext,
  caller: Caller | undefined,
  check: CodeCheck<A, R>,
): Promise<Verdict<R>> {
  const { store } = context;
  let undone: unknown;
  try {
    return await store.writeFor(caller, async (trx) => {
      const attempt = await check.count(trx);
      if (!attempt) return { kind: "refused" };
      try {
        return await decide(trx, context, check, attempt);
      } catch (error) {
        undone = error;
        throw error;
      }
    });
  } catch (error) {
    if (error === undone) await store.write((trx) => countAlone(trx, context, check));
    throw error;
  }
}

async function decide<A extends Attempt, R>(
  trx: Transaction<DB>,
  context: OTPContext,
  check: CodeCheck<A, R>,
  attempt: A,
): Promise<Verdict<R>> {
  const isRight = check.isRight(attempt);
  if (isRight) {
    const used = await check.use(trx, attempt);
    return used === undefined ? { kind: "refused" } : { kind: "right", used };
  }
  const failed = await fail(trx, context, attempt);
  if (isRight === undefined) return { kind: "expired" };
  await check.recordFailure(trx, { ...attempt, failed });
  return { kind: "wrong" };
}

/** A wrong code counts for the authenticator too, which it locks if it reaches a limit: until a right one, or for a time. */
async function fail(trx: Transaction<DB>, context: OTPContext, { otpEmail }: Attempt): Promise<Failures> {
  const failed = withFailure(context.policy.attempts, context.clock.now(), otpEmail);
  await setFailures(trx, { ...failed, otpEmailId: otpEmail.otp_email_id });
  return failed;
}

async function countAlone<A extends Attempt, R>(
  trx: Transaction<DB>,
  context: OTPContext,
  check: CodeCheck<A, R>,
): Promise<void> {
  const attempt = await check.count(trx);
  if (attempt) await fail(trx, context, attempt);
}
