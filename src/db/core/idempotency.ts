import type { Transaction } from "kysely";
import type { Clock } from "../../lib/clock.ts";
import { Refusal } from "../../lib/refusal.ts";
import { dayMs } from "../../lib/time.ts";
import { expiredRows } from "./expiring.ts";
import { lockNames } from "./lock.ts";
import { type Param, prepare } from "./prepared.ts";
import type { DB } from "./schema.ts";

/** The key under which a principal may send a call again, and what the call asks for: digests, one for each key of the service. */
export interface IdempotencyKey {
  readonly digests: readonly [string, ...string[]];
  readonly requestDigests: readonly [string, ...string[]];
}

/** A call that may be sent again. */
export interface Repeatable {
  readonly idempotencyKey?: IdempotencyKey | undefined;
}

/** For how long a key is remembered. */
const rememberedMs = dayMs;

export const expiredIdempotencyKeys = expiredRows("idempotency_keys", "digest");

/**
 * Does the work of a call once for its key, however often the call is sent, and to how many processes at once. The reply is
 * kept in the transaction of the effect: a crash leaves both or neither. A call that fails leaves nothing, and may succeed
 * when it is sent again.
 *
 * @param work `reply` is kept for a day, so that it must not hold a code. `made` is for the call that did it.
 * @returns `made` is undefined if the work was done before.
 * @throws FAILED_PRECONDITION if the key was used for something else.
 */
export async function once<R extends object, M>(
  trx: Transaction<DB>,
  clock: Clock,
  key: IdempotencyKey | undefined,
  work: () => Promise<{ reply: R; made: M }>,
): Promise<{ reply: R; made: M | undefined }> {
  if (!key) return work();
  // While the first call is still at it, the others wait.
  await lockNames(trx, key.digests);
  const now = clock.now();
  const kept = await findKept(trx, key, now);
  if (kept) {
    if (!key.requestDigests.includes(kept.request_digest)) throw keyReused();
    return { reply: JSON.parse(kept.reply) as R, made: undefined };
  }
  const done = await work();
  const [digest] = key.digests;
  // One that has expired and was not swept yet.
  await deleteExpired(trx, { digest, now });
  await insertKept(trx, {
    digest,
    requestDigest: key.requestDigests[0],
    reply: JSON.stringify(done.reply),
    expireTime: now + rememberedMs,
  });
  return done;
}

/** Nearly always there is one digest, as there is one key of the service. */
async function findKept(trx: Transaction<DB>, { digests }: IdempotencyKey, now: number) {
  for (const digest of digests) {
    const [kept] = await selectKept(trx, { digest, now });
    if (kept) return kept;
  }
  return undefined;
}

const selectKept = prepare((db, param: Param<{ digest: string; now: number }>) =>
  db
    .selectFrom("idempotency_keys")
    .select(["request_digest", "reply"])
    .where("digest", "=", param("digest"))
    .where("expire_time", ">", param("now")),
);

const deleteExpired = prepare((db, param: Param<{ digest: string; now: number }>) =>
  db
    .deleteFrom("idempotency_keys")
    .where("digest", "=", param("digest"))
    .where("expire_time", "<=", param("now")),
);

interface Kept {
  readonly digest: string;
  readonly requestDigest: string;
  readonly reply: string;
  readonly expireTime: number;
}

const insertKept = prepare((db, param: Param<Kept>) =>
  db.insertInto("idempotency_keys").values({
    digest: param("digest"),
    request_digest: param("requestDigest"),
    reply: param("reply"),
    expire_time: param("expireTime"),
  }),
);

function keyReused() {
  return new Refusal(
    "IDEMPOTENCY_KEY_REUSED",
    "the Idempotency-Key was used for another request: send that request again as it was, or take a new key",
  );
}
