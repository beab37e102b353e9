import type { Transaction } from "kysely";
import { lockUser } from "../../db/core/lock.ts";
import type { DB } from "../../db/core/schema.ts";
import type { Caller } from "../../db/core/write.ts";
import type { Refusal } from "../../lib/refusal.ts";
import type { OTPContext } from "../context.ts";
import { codeWrong } from "../refusals.ts";
import { type Failures, setFailures, withFailure } from "./failures.ts";
import { lockLeftMs } from "./lock.ts";

/** The check of one typed code, for one purpose. */
export interface CodeCheck<A extends Attempt, R> {
  readonly userId: string;
  /** How many attempts one code allows. */
  readonly attemptsMax: number;
  /** Counts the attempt with one guarded statement. Undefined: no attempt is possible. */
  count(trx: Transaction<DB>): Promise<A | undefined>;
  /** Compares the code. Undefined: it can't be verified any more, because its key was retired. */
  isRight(attempt: A): boolean | undefined;
  /** Uses the right code. Undefined: it can't be used any more. */
  use(trx: Transaction<DB>, attempt: A): Promise<R | undefined>;
  /** Writes a wrong code to the audit log. `isLast`: no attempt is left at this code, or the authenticator is locked now. */
  recordFailure(trx: Transaction<DB>, attempt: A, isLast: boolean): Promise<void>;
  /** The refusal of a code whose key was retired. */
  codeExpired(): Refusal;
  /** Finds out why no attempt was counted, or why the right code can't be used any more, and throws that. */
  refuse(): Promise<never>;
}

/** An attempt that has been counted. */
export interface Attempt {
  /** The attempts at this code, including this one. */
  readonly attempts: number;
  /** The authenticator, with its failures before this attempt. */
  readonly otpEmail: Failures & { readonly otp_email_id: string };
}

/** What the statement that counts an attempt is run with. Times are milliseconds since the epoch. */
export interface AttemptParams {
  readonly otpEmailId: string;
  readonly userId: string;
  readonly now: number;
  /** A code that expires later counts as expired (see `isExpired`). */
  readonly latest: number;
  readonly attemptsMax: number;
}

/**
 * Checks a code in one transaction: counts the attempt, compares the code, and writes the outcome. Of any number of
 * simultaneous calls with the right code, one wins.
 *
 * The caller learns the outcome only after the commit, so that no attempt goes uncounted: if the commit fails, it learns
 * nothing. If comparing or writing fails, the transaction is rolled back and the attempt is counted on its own.
 *
 * @param caller see `writeFor`.
 * @returns what `use` returned for the right code.
 * @throws INVALID_ARGUMENT (wrong code), or what `codeExpired` and `refuse` give.
 */
export async function checkCode<A extends Attempt, R>(
  context: OTPContext,
  caller: Caller | undefined,
  check: CodeCheck<A, R>,
): Promise<R> {
  const { store } = context;
  let verdict: Verdict<R>;
  let undone: unknown;
  try {
    verdict = await store.writeFor(caller, async (trx) => {
      // Lock the user before any of its rows, in the order of db/core/lock.ts.
      await lockUser(trx, check.userId);
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
  switch (verdict.kind) {
    case "right":
      return verdict.used;
    case "wrong":
      throw codeWrong();
    case "expired":
      throw check.codeExpired();
    case "refused":
      return check.refuse();
  }
}

type Verdict<R> =
  | { readonly kind: "refused" | "expired" | "wrong" }
  | { readonly kind: "right"; readonly used: R };

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
  const failures = await addFailure(trx, context, attempt);
  if (isRight === undefined) return { kind: "expired" };
  const isLocked = lockLeftMs(failures, context.clock.now()) > 0;
  await check.recordFailure(trx, attempt, isLocked || attempt.attempts >= check.attemptsMax);
  return { kind: "wrong" };
}

/** Adds the attempt to the failures of the authenticator, which locks it when they reach a limit. */
async function addFailure(
  trx: Transaction<DB>,
  context: OTPContext,
  { otpEmail }: Attempt,
): Promise<Failures> {
  const failures = withFailure(context.policy.attempts, context.clock.now(), otpEmail);
  await setFailures(trx, { ...failures, otpEmailId: otpEmail.otp_email_id });
  return failures;
}

async function countAlone<A extends Attempt, R>(
  trx: Transaction<DB>,
  context: OTPContext,
  check: CodeCheck<A, R>,
): Promise<void> {
  await lockUser(trx, check.userId);
  const attempt = await check.count(trx);
  if (attempt) await addFailure(trx, context, attempt);
}
