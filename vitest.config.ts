import { defineConfig } from "vitest/config";

/** What the tests of these folders say of the storage holds for both engines. */
/** What moves data between the two. */
const betweenEngines = "test/db/copy.test.ts";

const onBothEngines = [
  "test/db/engines.test.ts",
  "test/services/**/*.test.ts",
  "test/mail/{courier,outbox}.test.ts",
  "test/otp/hits.test.ts",
  "test/user/event-feed.test.ts",
];

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
