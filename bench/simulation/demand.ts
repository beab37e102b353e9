import type { TableSize } from "../nodes/cluster.ts";

/** Load of an installation. */
export interface Demand {
  /** Users with one verified address each. */
  readonly users: number;
  /** Logins a second in the busiest hour. */
  readonly loginsPerSecond: number;
  /** Logins of the mean hour, as a share of the busiest. */
  readonly meanToPeak: number;
  readonly enrolmentsPerDay: number;
  /** Days that events are kept. */
  readonly eventDays: number;
}

const daySeconds = 86_400;

/** Days that rows are kept: see src/operation/retention. */
const mailDays = 7;
const challengeDays = 1;

/** Events of a login: challenge, mail and code. An enrolment has as many. */
const eventsEach = 3;

/** A mail counts for its authenticator for a day and for its address for an hour. Shared limits need only a row a minute. */
const hitDays = 1 + 1 / 24;

export interface TableNeed {
  readonly table: string;
  readonly rows: number;
  /** Indexes included. */
  readonly bytes: number;
  readonly indexBytes: number;
  /** At the peak. */
  readonly insertsPerSecond: number;
}

/** Mails a day, and a second at the peak. */
export function mailsOf(demand: Demand): { readonly perDay: number; readonly perSecond: number } {
  const { loginsPerSecond, meanToPeak, enrolmentsPerDay } = demand;
  return {
    perDay: loginsPerSecond * meanToPeak * daySeconds + enrolmentsPerDay,
    perSecond: loginsPerSecond + enrolmentsPerDay / meanToPeak / daySeconds,
  };
}

/**
 * Rows and bytes of each table in the steady state: rows added in a day, times the days they are kept (Little's law).
 *
 * @param measured sizes of the tables after a bench.
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

/** Measured cost of a call. */
export interface CallCost {
  readonly nodeUs: number;
  readonly databaseUs: number;
  readonly walBytes: number;
}

export interface Rates {
  readonly transactionsPerSecond: number;
  readonly walBytesPerSecond: number;
  /** Busy cores at the peak. */
  readonly nodeCores: number;
  readonly databaseCores: number;
}

/**
 * @param login cost of one of the two requests of a login with a returned code.
 * @param mailed additional cost of queueing a mail.
 * @param sentUs CPU time of a node to send a mail and store the outcome, in microseconds.
 */
export function ratesOf(demand: Demand, login: CallCost, mailed: CallCost, sentUs: number): Rates {
  const { perSecond } = mailsOf(demand);
  const each = (of: (cost: CallCost) => number) => 2 * of(login) + of(mailed);
  // Storing the outcome of a mail writes as much as a request of a login: a row, an event, the user.
  const settled = login;
  return {
    // For each mail: the challenge, the code, the outcome of the mail, and a share of a claim.
    transactionsPerSecond: perSecond * 3.1,
    walBytesPerSecond: perSecond * (each(({ walBytes }) => walBytes) + settled.walBytes),
    nodeCores: (perSecond * (each(({ nodeUs }) => nodeUs) + sentUs)) / 1e6,
    databaseCores: (perSecond * (each(({ databaseUs }) => databaseUs) + settled.databaseUs)) / 1e6,
  };
}
