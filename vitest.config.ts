import { defineConfig } from "vitest/config";

/** What these say of the storage holds for both engines. The other tests are about something else. */
const onBothEngines = [
  "test/advisories/several-processes.test.ts",
  "test/db/{engines,prepared}.test.ts",
  "test/services/{add-otp-email,challenges,gone-caller,idempotency,list-events,mail-limits,notices}.test.ts",
  "test/services/{otp-email-lifecycle,user-lifecycle,users,verify-otp-email}.test.ts",
  "test/mail/{courier,faults-kill,outbox}.test.ts",
  "test/otp/hits.test.ts",
  "test/sweeper.test.ts",
  "test/user/{event-links,user}.test.ts",
];

/** What moves data between the two, and what only PostgreSQL has. */
const withPostgres = ["test/db/copy.test.ts", "test/cluster/*.test.ts"];

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
          globalSetup: "./test/support/postgres-cluster.ts",
        },
      },
    ],
  },
});
