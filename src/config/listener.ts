import { createSecureContext } from "node:tls";
import * as v from "valibot";
import { parseTrustedProxies } from "../http/client-address.ts";
import { logLevels } from "../lib/log.ts";
import { type Given, incomplete, type Settings, type Values } from "./setting.ts";
import { isDistinct, list, onOff, origin, parseUrl, pem, text } from "./values.ts";

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
  v.check((items) => isDistinct(items), "must not list a host twice"),
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

export const listenerSettings = {
  COUNTERSIGN_PUBLIC_URL: {
    check: origin,
    unset: "the address it listens on",
    isNeeded: true,
    help: "Origin under which users reach the service, such as `https://otp.example.com`. Links in mails start with it",
  },
  COUNTERSIGN_LISTEN: {
    check: listen,
    default: "127.0.0.1:8080",
    help: "Host and port to listen on, for HTTP/1.1 and HTTP/2, with and without TLS",
  },
  COUNTERSIGN_TLS_CERT: {
    check: pem,
    unset: "no TLS",
    // Not a secret, but it's kept beside its key.
    isSecret: true,
    help: "TLS certificate and its chain: PEM text, or the path of a PEM file",
  },
  COUNTERSIGN_TLS_KEY: {
    check: pem,
    unset: "no TLS",
    isSecret: true,
    help: "Private key of the TLS certificate: PEM text, or the path of a PEM file",
  },
  COUNTERSIGN_TRUSTED_PROXIES: {
    check: proxies,
    default: "",
    help: "Proxies whose `X-Forwarded-For` header is trusted: IP addresses and networks, comma separated",
  },
  COUNTERSIGN_ALLOWED_ORIGINS: {
    check: origins,
    default: "",
    devDefault: "*",
    help: "Origins whose pages may call the API from a browser (CORS), comma separated, or `*` for all",
  },
  COUNTERSIGN_LINK_HOSTS: {
    check: hosts,
    unset: "the host of `COUNTERSIGN_PUBLIC_URL`",
    help: "Hosts that end users may name in a `url_template`, comma separated",
  },
  COUNTERSIGN_REFLECTION: {
    check: onOff,
    default: "on",
    help: "`on` or `off`: whether gRPC server reflection is available",
  },
  COUNTERSIGN_METRICS: {
    check: onOff,
    default: "off",
    help: "`on` or `off`: whether everyone who can reach the port can read `/metrics` (Prometheus)",
  },
  COUNTERSIGN_LOG_LEVEL: {
    check: v.picklist(logLevels, `must be one of ${logLevels.join(", ")}`),
    default: "info",
    help: `Lowest level to log: ${logLevels.map((level) => `\`${level}\``).join(", ")}`,
  },
} satisfies Settings;

export function toListenerConfig(values: Values<typeof listenerSettings>) {
  const { COUNTERSIGN_TLS_CERT: cert, COUNTERSIGN_TLS_KEY: key } = values;
  return {
    listen: values.COUNTERSIGN_LISTEN,
    publicUrl: values.COUNTERSIGN_PUBLIC_URL,
    tls: cert && key ? { cert, key } : undefined,
    trustedProxies: values.COUNTERSIGN_TRUSTED_PROXIES,
    allowedOrigins: values.COUNTERSIGN_ALLOWED_ORIGINS,
    linkHosts: values.COUNTERSIGN_LINK_HOSTS,
    reflection: values.COUNTERSIGN_REFLECTION,
    metrics: values.COUNTERSIGN_METRICS,
    logLevel: values.COUNTERSIGN_LOG_LEVEL,
  };
}

/** Reports a certificate without its key, and one that doesn't belong to its key. */
export function unusableTls({ valid, isSet }: Given<typeof listenerSettings>): string[] {
  const { COUNTERSIGN_TLS_CERT: cert, COUNTERSIGN_TLS_KEY: key } = valid;
  if (cert === undefined || key === undefined) {
    return incomplete(["COUNTERSIGN_TLS_CERT", "COUNTERSIGN_TLS_KEY"], isSet);
  }
  try {
    createSecureContext({ cert, key });
    return [];
  } catch {
    return ["COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY are not a certificate and its key"];
  }
}
