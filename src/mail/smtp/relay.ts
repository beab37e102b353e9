/** An SMTP server that sends mails on. */
export interface Relay {
  readonly host: string;
  readonly port: number;
  /** TLS from the first byte (RFC 8314 §3.3). Otherwise STARTTLS. */
  readonly implicitTls: boolean;
  readonly credentials: { readonly user: string; readonly pass: string } | undefined;
  /** Authenticate with an access token instead of a password. */
  readonly xoauth2: boolean;
}

/**
 * Parses `smtp://user:password@host:port` (STARTTLS, default port 587) or `smtps://…` (default port 465). User and password
 * are percent-encoded. `smtp://user@host?auth=xoauth2` has no password: access tokens are fetched.
 *
 * @throws if it is not valid. The message never quotes it, because it contains a password.
 */
export function parseRelay(text: string): Relay {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const implicitTls = url?.protocol === "smtps:";
  if (!url || (url.protocol !== "smtp:" && !implicitTls) || !isBare(url)) {
    throw new Error("the SMTP URL must be smtp://user:password@host:port or smtps://…, and nothing more");
  }
  const xoauth2 = url.search === xoauth2Query;
  if (xoauth2 && (url.username === "" || url.password !== "")) {
    throw new Error(
      "an SMTP URL with ?auth=xoauth2 must have a user and no password: smtp://user@host?auth=xoauth2",
    );
  }
  return {
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: Number(url.port || (implicitTls ? 465 : 587)),
    implicitTls,
    credentials: url.username === "" ? undefined : parseCredentials(url),
    xoauth2,
  };
}

const xoauth2Query = "?auth=xoauth2";

function isBare({ hostname, pathname, search, hash }: URL): boolean {
  if (search !== "" && search !== xoauth2Query) return false;
  return /^[\w.-]+$|^\[[\da-f:.]+\]$/i.test(hostname) && /^\/?$/.test(pathname + hash);
}

function parseCredentials(url: URL): Relay["credentials"] {
  try {
    return { user: decodeURIComponent(url.username), pass: decodeURIComponent(url.password) };
  } catch {
    throw new Error("user and password of the SMTP URL must be percent-encoded");
  }
}
