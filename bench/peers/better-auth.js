import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { emailOTP } from "better-auth/plugins";
import Database from "better-sqlite3";

// better-auth with its plugin for mailed codes. Callers have no token, codes are never returned, and mails are discarded. With the
// mode `default` the database is opened as in the documentation, otherwise with WAL and FULL like those of the other servers.

const [path, mode, users, domain] = process.argv.slice(2);
const database = new Database(path);
if (mode !== "default") {
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
}
const server = createServer();
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${server.address().port}`;
const options = {
  baseURL: origin,
  secret: "only for a bench, and as long as it has to be",
  database,
  telemetry: { enabled: false },
  rateLimit: { enabled: false },
  // The load generator has to know the code.
  plugins: [emailOTP({ generateOTP: () => "123456", sendVerificationOTP: async () => {} })],
};
const { runMigrations } = await getMigrations(options);
await runMigrations();
database
  .prepare(
    `with recursive n(i) as (select 0 union all select i + 1 from n where i + 1 < ?)
     insert into user (id, name, email, emailVerified, createdAt, updatedAt)
     select 'user-' || i, 'User', 'user-' || i || '@' || ?, 0, '2026-01-01T00:00:00.000Z', '2026-01-01T00:00:00.000Z'
     from n order by 'user-' || i`,
  )
  .run(Number(users), domain);
server.on("request", toNodeHandler(betterAuth(options)));
console.error(JSON.stringify({ msg: "listening", origin }));
process.on("SIGTERM", () => process.exit(0));
