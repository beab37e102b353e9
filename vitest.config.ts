import { defineConfig } from "vitest/config";

/** What these say of the storage holds for both engines. The other tests are about something else. */
const onBothEngines = [
  "test/advisories/several-processes.test.ts",
  "test/api/{gone-caller,idempotency}.test.ts",
  "test/api/challenges/challenges.test.ts",
  "test/api/users/{add-otp-email,list-events,otp-email-lifecycle,user-lifecycle,users,verify-otp-email}.test.ts",
  "test/db/store.test.ts",
  "test/db/core/prepared.test.ts",
  "test/events/event-links.test.ts",
  "test/mail/courier/{courier,faults-kill}.test.ts",
  "test/mail/outbox/outbox.test.ts",
  "test/operation/retention/sweeper.test.ts",
  "test/otp/mail-status.test.ts",
  "test/otp/enrolment/notices.test.ts",
  "test/otp/limits/{mail-limits,sliding-window}.test.ts",
  "test/users/user.test.ts",
];

/** What moves data between the two, and what only PostgreSQL has. */
const withPostgres = ["test/operation/transfer/copy.test.ts", "test/db/postgres/*.test.ts"];

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: more workers only take turns.
    maxWorkers: 2,
    reporters: ["default", "./test/support/summary-reporter.ts"],
    projects: [
      { extends: true, test: { name: "sqlite", include: ["test/**/*.test.ts"], exclude: withPostgres } },
      {
        extends: true,
        test: {
          name: "postgres",
          include: [...onBothEngines, ...withPostgres],
          globalSetup: "./test/support/db/postgres-cluster.ts",
        },
      },
    ],
  },
});
