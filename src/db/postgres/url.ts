/** What the URL of a PostgreSQL database says. */
export interface PostgresTarget {
  /** One URL for each host. */
  readonly urls: readonly string[];
  /** Whether to connect only to a server that takes writes. */
  readonly isWritable: boolean;
  /** Whether statements are prepared by name. */
  readonly prepares: boolean;
}

/**
 * Parses `postgres://user:password@host:port/database`. Several hosts (`host:port,host:port`) are written as in libpq, and so
 * are parameters such as `sslmode` and `target_session_attrs=read-write`. `prepare=off` is ours.
 *
 * @throws if it is malformed. The message never quotes the URL, which holds a password.
 */
export function parsePostgresUrl(text: string): PostgresTarget {
  // A URL has one host (RFC 3986 §3.2), so each host gets a URL of its own.
  const [, start = "", hosts = "", rest = ""] = /^([^:]+:\/\/(?:[^/?#]*@)?)([^/?#]*)(.*)$/s.exec(text) ?? [];
  const urls = hosts.split(",").map((host) => {
    const url = `${start}${host}${rest}`;
    if (!URL.canParse(url))
      throw new Error("the database URL must be postgres://user:password@host:port/database");
    return new URL(url);
  });
  /** Removes a parameter that pg doesn't know. */
  const takeParameter = (name: string, values: readonly string[]) => {
    const value = urls[0]?.searchParams.get(name) ?? undefined;
    for (const url of urls) url.searchParams.delete(name);
    if (value === undefined || values.includes(value)) return value;
    throw new Error(`${name} in the database URL must be ${values.join(" or ")}`);
  };
  const prepares = takeParameter("prepare", ["on", "off"]) !== "off";
  const isWritable = takeParameter("target_session_attrs", ["read-write"]) !== undefined || urls.length > 1;
  return { urls: urls.map(({ href }) => href), isWritable, prepares };
}
