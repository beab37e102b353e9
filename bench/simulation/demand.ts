import type { TableSize } from "../nodes/cluster.ts";

/** What is asked of an installation. */
export interface Demand {
  /** Each has one verified address. */
  readonly users: number;
  /** In the busiest hour. */
  readonly loginsPerSecond: number;
  /** Logins of a day, of those that there would be if every hour were the busiest. */
  readonly meanToPeak: number;
  readonly enrolmentsPerDay: number;
  /** How long the trail of events is kept at hand. */
  readonly eventDays: number;
}

const daySeconds = 86_400;

/** How long rows stay, in days: see src/sweeper.ts and src/otp. */
const mailDays = 7;
const challengeDays = 1;

/** A login is a challenge, a mail and a code. An enrolment is the same with an authenticator. */
const eventsEach = 3;

/** That of an authenticator stays for a day, that of its address for an hour. Ceilings take a row a minute. */
const hitDays = 1 + 1 / 24;

export interface TableNeed {
  readonly table: string;
  readonly rows: number;
  /** With indexes. */
  readonly bytes: number;
  readonly indexBytes: number;
  /** Rows a second that are inserted, at the peak. */
  readonly insertsPerSecond: number;
}

/** How many a day, and a second at the peak. */
export function mailsOf(demand: Demand): { readonly perDay: number; readonly perSecond: number } {
  const { loginsPerSecond, meanToPeak, enrolmentsPerDay } = demand;
  return {
    perDay: loginsPerSecond * meanToPeak * daySeconds + enrolmentsPerDay,
    perSecond: loginsPerSecond + enrolmentsPerDay / meanToPeak / daySeconds,
  };
}

/**
 * Rows and bytes of each table once as many are removed as come: what comes in a day, times the days it stays (Little's law).
 *
 * @param measured what the tables took in a bench.
 */
export function tablesOf(demand: Demand, measured: readonly TableSize[]): TableNeed[] {
  const { perDay, perSecond } = mailsOf(demand);
  const { users, loginsPerSecond, enrolmentsPerDay, eventDays } = demand;
  const enrolments = perSecond - loginsPerSecond;
  const rowsOf: Readonly<Record<string, readonly [rows: number, insertsPerSecond: number]>> = {
    users: [users, enrolments],
    otp_emails: [users, enrolments],
    challenges: [(perDay - enrolmentsPerDay) * challengeDays, loginsPerSecond],
    outbox: [perDay * mailDays, perSecond],
    hits: [perDay * hitDays, 2 * perSecond],
    events: [perDay * eventsEach * eventDays, eventsEach * perSecond],
  };
  return measured.flatMap(({ table, rows: count, rowBytes, indexBytes }) => {
    const [rows, insertsPerSecond] = rowsOf[table] ?? [];
    if (rows === undefined || insertsPerSecond === undefined) return [];
    const bytes = (rows * (rowBytes + indexBytes)) / count;
    return [{ table, rows, bytes, indexBytes: (rows * indexBytes) / count, insertsPerSecond }];
  });
}

/** What was measured of a call. */
export interface CallCost {
  readonly nodeUs: number;
  readonly databaseUs: number;
  readonly walBytes: number;
}

export interface Rates {
  readonly transactionsPerSecond: number;
  readonly walBytesPerSecond: number;
  /** Cores that are busy at the peak. */
  readonly nodeCores: number;
  readonly databaseCores: number;
}

/**
 * @param login of one of the two requests of a login whose code is returned.
 * @param mailed what a mail costs more, when it is queued.
 * @param sentUs CPU of a node to hand a mail over, with all it writes.
 */
export function ratesOf(demand: Demand, login: CallCost, mailed: CallCost, sentUs: number): Rates {
  const { perSecond } = mailsOf(demand);
  const each = (of: (cost: CallCost) => number) => 2 * of(login) + of(mailed);
  // What came of a mail is written as the login is: a row, the trail, the user.
  const settled = login;
  return {
    // A challenge, its code, what came of its mail, and a share of a claim.
    transactionsPerSecond: perSecond * 3.1,
    walBytesPerSecond: perSecond * (each(({ walBytes }) => walBytes) + settled.walBytes),
    nodeCores: (perSecond * (each(({ nodeUs }) => nodeUs) + sentUs)) / 1e6,
    databaseCores: (perSecond * (each(({ databaseUs }) => databaseUs) + settled.databaseUs)) / 1e6,
  };
}
