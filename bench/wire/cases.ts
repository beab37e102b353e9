/** The rows of the table: server, protocol and version of HTTP. */

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
  /** File in servers/. It gets the version of HTTP and then `args`. */
  readonly script: string;
  readonly args: readonly string[];
  /** Protocols to measure over each version of HTTP. */
  readonly http1: readonly Protocol[];
  readonly http2: readonly Protocol[];
  /** Whether a ratio with a target needs it. `--quick` leaves the others out. */
  readonly hasTarget: boolean;
}

const rpc = ["connect-json", "connect-proto", "grpc-web"] as const;
const connectNode = { script: "connect-node", http1: rpc, http2: [...rpc, "grpc"] } as const;
const unary = { script: "unary", http1: [...rpc, "rest"], http2: [...rpc, "grpc", "rest"] } as const;

export const servers: Readonly<Record<string, Server>> = {
  "bare-http1": { script: "bare-http1", args: [], http1: ["connect-json"], http2: [], hasTarget: true },
  "bare-http2": {
    script: "bare-http2",
    args: [],
    http1: [],
    http2: ["connect-json", "grpc"],
    hasTarget: true,
  },
  "bare-http2-core": {
    script: "bare-http2-core",
    args: [],
    http1: [],
    http2: ["connect-json", "grpc"],
    hasTarget: false,
  },
  "grpc-js": { script: "grpc-js", args: [], http1: [], http2: ["grpc"], hasTarget: true },
  "connect-node-plain": { ...connectNode, args: [], hasTarget: true },
  "connect-node-auth": { ...connectNode, args: ["auth"], hasTarget: false },
  "unary-plain": { ...unary, args: [], hasTarget: false },
  "unary-auth": { ...unary, args: ["auth"], hasTarget: true },
};

/** All cases in the order of measurement: those to be compared follow each other, so that the machine is in the same state. */
export const allCases: readonly Case[] = httpVersions.flatMap((http) =>
  protocols.flatMap((protocol) =>
    Object.entries(servers)
      .filter(([, has]) => has[http].includes(protocol))
      .map(([server]) => ({ server, protocol, http })),
  ),
);

/**
 * The cases that match a filter such as `unary,connect-json,http1`. A case has to match the servers, the protocols and the
 * versions of HTTP of the filter. A word is a name, or else the start of names.
 *
 * @throws if a word matches nothing.
 */
export function casesOf(words: readonly string[]): Case[] {
  const names = { server: Object.keys(servers), protocol: protocols, http: httpVersions };
  const wanted = { server: new Set<string>(), protocol: new Set<string>(), http: new Set<string>() };
  for (const word of words) {
    const every = Object.entries(names).flatMap(([kind, list]) => list.map((name) => ({ kind, name })));
    const whole = every.filter(({ name }) => name === word);
    const found = whole.length > 0 ? whole : every.filter(({ name }) => name.startsWith(word));
    if (word === "" || found.length === 0) {
      throw new Error(`--only: "${word}" matches none of: ${every.map(({ name }) => name).join(", ")}`);
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
