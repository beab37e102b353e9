import type { ExpiringRows } from "../db/core/expiring.ts";
import { expiredIdempotencyKeys } from "../db/core/idempotency.ts";
import { expiredMails } from "../mail/outbox/expiring.ts";
import {
  expiredChallenges,
  expiredHits,
  expiredRemovedOTPEmails,
  expiredSuppressions,
} from "../otp/expiring.ts";

/** All rows that the sweeper deletes, in its order. */
export const expiringRows: readonly ExpiringRows[] = [
  expiredMails,
  expiredHits,
  expiredIdempotencyKeys,
  expiredRemovedOTPEmails,
  expiredChallenges,
  expiredSuppressions,
];
