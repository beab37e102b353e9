import { defineConfig } from "vitest/config";

/** What these say of the storage holds for both engines. The other tests are about something else. */
const onBothEngines = [
  "test/db/engines.test.ts",
  "test/services/{add-otp-email,challenges,gone-caller,idempotency,list-events,mail-limits,notices}.test.ts",
  "test/services/{otp-email-lifecycle,user-lifecycle,users,verify-otp-email}.test.ts",
  "test/mail/{courier,outbox}.test.ts",
  "test/otp/hits.test.ts",
  "test/sweeper.test.ts",
  "test/user/user.test.ts",
];

/** What moves data between the two. */
const betweenEngines = "test/db/copy.test.ts";

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: more workers only take turns.
    maxWorkers: 2,
    reporters: ["default", "./test/support/summary-reporter.ts"],
    projects: [
      { extends: true, test: { name: "sqlite", include: ["test/**/*.test.ts"], exclude: [betweenEngines] } },
      {
        extends: true,
        test: {
          name: "postgres",
          include: [...onBothEngines, betweenEngines],
          globalSetup: "./test/support/postgres-cluster.ts",
        },
      },
    ],
  },
});
