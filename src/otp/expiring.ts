import { expiredRows } from "../db/core/expiring.ts";

// Each row gets its `expire_time` where it is written.
export const expiredHits = expiredRows("hits", "digest");
export const expiredRemovedOTPEmails = expiredRows("removed_otp_emails", "digest");
export const expiredChallenges = expiredRows("challenges", "challenge_id");
export const expiredSuppressions = expiredRows("suppressions", "digest");
