import { createSecureContext } from "node:tls";
import * as v from "valibot";
import { parseTrustedProxies } from "../http/client-address.ts";
import { logLevels } from "../lib/log.ts";
import { list, onOff, origin, parseUrl, pem, text } from "./values.ts";

const listen = v.pipe(
  text,
  v.regex(
    /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+):\d{1,5}$/,
    "must be host:port, such as 127.0.0.1:8080 or [::]:8080",
  ),
  v.transform((value) => {
    const colon = value.lastIndexOf(":");
    return { host: value.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(value.slice(colon + 1)) };
  }),
  v.check(({ port }) => port <= 65_535, "must have a port from 0 to 65535"),
);

const hosts = v.pipe(
  list,
  v.check(
    (items) => items.every((item) => parseUrl(`https://${item}/`)?.host === item.toLowerCase()),
    "must be hosts, comma separated, such as app.example.com or localhost:3000",
  ),
  v.transform((items) => items.map((item) => item.toLowerCase())),
);

const proxies = v.pipe(
  list,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    try {
      parseTrustedProxies(dataset.value);
      return dataset.value;
    } catch {
      addIssue({ message: "must be addresses and networks, comma separated, such as 10.0.0.0/8,::1" });
      return NEVER;
    }
  }),
);

const origins = v.pipe(
  list,
  v.check(
    (items) =>
      (items.length === 1 && items[0] === "*") || items.every((item) => parseUrl(item)?.origin === item),
    'must be origins, comma separated, such as https://app.example.com; or "*" alone',
  ),
);

/** The origin under which people and mails reach the service. */
export const publicUrlEntries = { COUNTERSIGN_PUBLIC_URL: v.optional(origin) };

/** Where the service listens, whom it lets in, and what it shows of itself. */
export const listenerEntries = {
  COUNTERSIGN_LISTEN: v.optional(listen, "127.0.0.1:8080"),
  COUNTERSIGN_LINK_HOSTS: v.optional(hosts),
  COUNTERSIGN_ALLOWED_ORIGINS: v.optional(origins),
  COUNTERSIGN_REFLECTION: v.optional(onOff, "on"),
  COUNTERSIGN_METRICS: v.optional(onOff, "off"),
  COUNTERSIGN_TRUSTED_PROXIES: v.optional(proxies, ""),
  COUNTERSIGN_TLS_CERT: v.optional(pem),
  COUNTERSIGN_TLS_KEY: v.optional(pem),
  COUNTERSIGN_LOG_LEVEL: v.optional(v.picklist(logLevels, `must be one of ${logLevels.join(", ")}`), "info"),
};

type ListenerSettings = v.InferOutput<v.ObjectSchema<typeof listenerEntries, undefined>>;

export function toListenerConfig(settings: Partial<ListenerSettings>) {
  return {
    listen: settings.COUNTERSIGN_LISTEN ?? { host: "127.0.0.1", port: 8080 },
    linkHosts: settings.COUNTERSIGN_LINK_HOSTS,
    reflection: settings.COUNTERSIGN_REFLECTION !== "off",
    metrics: settings.COUNTERSIGN_METRICS === "on",
    trustedProxies: settings.COUNTERSIGN_TRUSTED_PROXIES ?? [],
    tls: toTls(settings),
    logLevel: settings.COUNTERSIGN_LOG_LEVEL ?? "info",
  };
}

function toTls({ COUNTERSIGN_TLS_CERT: cert, COUNTERSIGN_TLS_KEY: key }: Partial<ListenerSettings>) {
  return cert && key ? { cert, key } : undefined;
}

/** What of the certificate and its key does not go together. */
export function unusableTls({
  COUNTERSIGN_TLS_CERT: cert,
  COUNTERSIGN_TLS_KEY: key,
}: Partial<ListenerSettings>): string[] {
  if (cert === undefined && key === undefined) return [];
  if (cert === undefined || key === undefined)
    return ["COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY go together: set both or neither"];
  try {
    createSecureContext({ cert, key });
    return [];
  } catch {
    return ["COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY are not a certificate and its key"];
  }
}
