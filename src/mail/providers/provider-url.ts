import { isLoopback } from "../../lib/loopback.ts";
import { parseRelay } from "../smtp/relay.ts";

/** Configuration of a provider. `name` is safe to log. */
export type ProviderUrl =
  | { readonly kind: "smtp"; readonly name: string; readonly url: string; readonly xoauth2: boolean }
  | {
      readonly kind: "ses";
      readonly name: string;
      readonly region: string;
      readonly endpoint: string | undefined;
    }
  | { readonly kind: "webhook"; readonly name: string; readonly url: string };

/**
 * Parses a list of providers, separated by commas or blanks: `smtp://…` and `smtps://…` (see `parseRelay`), `ses://region`
 * and `webhook+https://host/path`.
 *
 * @throws if one of them is not valid. The message says which, but never quotes it, because it may contain a password.
 */
export function parseProviderUrls(list: string): [ProviderUrl, ...ProviderUrl[]] {
  const texts = list.split(/[\s,]+/).filter((text) => text !== "");
  const [first, ...others] = texts.map((text, index) => {
    try {
      return parseProviderUrl(text);
    } catch (error) {
      const where = texts.length > 1 ? `number ${index + 1} of ${texts.length}: ` : "";
      throw new Error(`${where}${(error as Error).message}`);
    }
  });
  if (!first) throw new Error("must name at least one provider");
  return [first, ...others];
}

function parseProviderUrl(text: string): ProviderUrl {
  if (/^webhook\+/i.test(text)) return parseWebhook(text.slice("webhook+".length));
  if (/^ses:/i.test(text)) return parseSes(text);
  const { host, port, xoauth2 } = parseRelay(text);
  return { kind: "smtp", name: `smtp ${host}:${port}`, url: text, xoauth2 };
}

/** The URL must not contain secrets, because proxies log URLs. */
function parseWebhook(text: string): ProviderUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !isFetchable(url) || url.hash !== "") {
    throw new Error(
      "a webhook must be webhook+https://host/path (webhook+http:// only for this machine), without a password",
    );
  }
  return { kind: "webhook", name: `webhook ${url.host}`, url: url.href };
}

function parseSes(text: string): ProviderUrl {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const { endpoint, ...others } = Object.fromEntries(url?.searchParams ?? []);
  const isBare = url && /^\/?$/.test(url.pathname + url.hash) && !url.username && !url.password && !url.port;
  const canReach = endpoint === undefined || (URL.canParse(endpoint) && isFetchable(new URL(endpoint)));
  if (!isBare || !/^[a-z]{2}(-[a-z]+)+-\d$/.test(url.host) || !canReach || Object.keys(others).length > 0) {
    throw new Error(
      "SES must be ses://region, such as ses://eu-central-1, or ses://region?endpoint=https://…; its credentials are those of the AWS SDK",
    );
  }
  return { kind: "ses", name: `ses ${url.host}`, region: url.host, endpoint };
}

/** Reports whether a URL has no credentials, and uses clear text only on this machine. */
export function isFetchable({ protocol, hostname, username, password }: URL): boolean {
  if (username !== "" || password !== "") return false;
  return protocol === "https:" || (protocol === "http:" && isLoopback(hostname));
}
