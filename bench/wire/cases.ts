/** The rows of the table: which server is asked in which protocol, over which version of HTTP. */

export const httpVersions = ["http1", "http2"] as const;
export type HttpVersion = (typeof httpVersions)[number];

export const protocols = ["connect-json", "connect-proto", "grpc", "grpc-web", "rest"] as const;
export type Protocol = (typeof protocols)[number];

export interface Case {
  readonly server: string;
  readonly protocol: Protocol;
  readonly http: HttpVersion;
}

interface Server {
  /** The file in servers/, and its arguments after the version of HTTP. */
  readonly script: string;
  readonly args: readonly string[];
  /** What it is asked in, over each version. */
  readonly http1: readonly Protocol[];
  readonly http2: readonly Protocol[];
  /** Whether a target needs it. The others are for information, and `--quick` leaves them out. */
  readonly isNeeded: boolean;
}

const rpc = ["connect-json", "connect-proto", "grpc-web"] as const;
const stock = { script: "connect-node", http1: rpc, http2: [...rpc, "grpc"] } as const;
const lane = { script: "unary", http1: [...rpc, "rest"], http2: [...rpc, "grpc", "rest"] } as const;

export const servers: Readonly<Record<string, Server>> = {
  "bare-http1": { script: "bare-http1", args: [], http1: ["connect-json"], http2: [], isNeeded: true },
  "bare-http2": {
    script: "bare-http2",
    args: [],
    http1: [],
    http2: ["connect-json", "grpc"],
    isNeeded: true,
  },
  "bare-http2-core": {
    script: "bare-http2-core",
    args: [],
    http1: [],
    http2: ["connect-json", "grpc"],
    isNeeded: false,
  },
  "grpc-js": { script: "grpc-js", args: [], http1: [], http2: ["grpc"], isNeeded: true },
  "stock-plain": { ...stock, args: [], isNeeded: true },
  "stock-auth": { ...stock, args: ["auth"], isNeeded: false },
  "lane-plain": { ...lane, args: [], isNeeded: false },
  "lane-auth": { ...lane, args: ["auth"], isNeeded: true },
};

/** In this order they are measured: what is compared is close in time, and meets the machine in the same state. */
export const allCases: readonly Case[] = httpVersions.flatMap((http) =>
  protocols.flatMap((protocol) =>
    Object.entries(servers)
      .filter(([, has]) => has[http].includes(protocol))
      .map(([server]) => ({ server, protocol, http })),
  ),
);

/**
 * The cases that a filter such as `lane,connect-json,http1` names. Words for servers, protocols and versions of HTTP
 * narrow each other; two of one kind add up. A word that is no whole name is taken for the start of one.
 *
 * @throws if a word is none of these.
 */
export function casesOf(words: readonly string[]): Case[] {
  const names = { server: Object.keys(servers), protocol: protocols, http: httpVersions };
  const wanted = { server: new Set<string>(), protocol: new Set<string>(), http: new Set<string>() };
  for (const word of words) {
    const every = Object.entries(names).flatMap(([kind, list]) => list.map((name) => ({ kind, name })));
    const whole = every.filter(({ name }) => name === word);
    const found = whole.length > 0 ? whole : every.filter(({ name }) => name.startsWith(word));
    if (word === "" || found.length === 0) {
      throw new Error(
        `--only: there is no ${word || "empty word"}: ${every.map(({ name }) => name).join(", ")}`,
      );
    }
    for (const { kind, name } of found) wanted[kind as keyof typeof wanted].add(name);
  }
  const has = (set: ReadonlySet<string>, name: string) => set.size === 0 || set.has(name);
  return allCases.filter(
    ({ server, protocol, http }) =>
      has(wanted.server, server) && has(wanted.protocol, protocol) && has(wanted.http, http),
  );
}

export function nameOf({ server, protocol, http }: Case): string {
  return `${server} ${protocol} ${http}`;
}
