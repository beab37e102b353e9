import { isLoopback } from "../lib/loopback.ts";

const bodyBytesMax = 64 * 1024;

/**
 * Fetches the JWKS of an issuer.
 *
 * @param jwksUri if undefined, it is looked up in the metadata of the issuer.
 * @returns the JSON text.
 * @throws if the metadata or the keys cannot be fetched.
 */
export async function fetchJwks(
  issuer: string,
  jwksUri: string | undefined,
  signal: AbortSignal,
): Promise<string> {
  const url = jwksUri ?? (await discoverJwksUri(issuer, signal));
  return fetchJsonText(new URL(url), signal);
}

/** @throws if the URL is neither https, nor http on a loopback host, or if it contains credentials. */
export function checkUrl(name: string, text: string): void {
  if (!URL.canParse(text)) throw new Error(`the ${name} ${text} is not a URL`);
  const { protocol, hostname, username, password } = new URL(text);
  if (username !== "" || password !== "") throw new Error(`the ${name} must not hold a user or a password`);
  if (protocol === "https:" || (protocol === "http:" && isLoopback(hostname))) return;
  throw new Error(`the ${name} ${text} must be https (http is for loopback hosts)`);
}

/**
 * Looks up `jwks_uri` in the metadata of the issuer: OpenID Connect Discovery 1.0 §4, with RFC 8414 §3 as fallback.
 *
 * @throws if there is neither, or if it belongs to another issuer (RFC 8414 §3.3).
 */
async function discoverJwksUri(issuer: string, signal: AbortSignal): Promise<string> {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, "");
  const addresses = [
    `${origin}${path}/.well-known/openid-configuration`,
    `${origin}/.well-known/oauth-authorization-server${path}`,
  ];
  const failures: unknown[] = [];
  for (const address of addresses) {
    try {
      const metadata: unknown = JSON.parse(await fetchJsonText(new URL(address), signal));
      return jwksUriOf(metadata, issuer);
    } catch (error) {
      failures.push(error);
    }
  }
  throw new AggregateError(failures, `no usable metadata at ${addresses.join(" or ")}`);
}

function jwksUriOf(metadata: unknown, issuer: string): string {
  if (typeof metadata !== "object" || metadata === null) throw new Error("the metadata is not an object");
  if (!("issuer" in metadata) || metadata.issuer !== issuer) {
    throw new Error("the `issuer` of the metadata is not exactly the configured one (RFC 8414 §3.3)");
  }
  if (!("jwks_uri" in metadata) || typeof metadata.jwks_uri !== "string") {
    throw new Error("the metadata has no `jwks_uri`");
  }
  checkUrl("jwks_uri", metadata.jwks_uri);
  return metadata.jwks_uri;
}

async function fetchJsonText(url: URL, signal: AbortSignal): Promise<string> {
  const response = await fetch(url, {
    // A redirect could point to a host that only this process can reach (ASVS 15.3.2).
    redirect: "error",
    headers: { accept: "application/json, application/jwk-set+json" },
    signal,
  });
  if (response.status !== 200) throw new Error(`${url.href} answered ${response.status}`);
  const type = response.headers.get("content-type") ?? "";
  if (!/^application\/(?:[\w.-]+\+)?json *(?:;|$)/i.test(type)) throw new Error(`${url.href} is not JSON`);
  // Count decompressed bytes: Content-Length says nothing about them, and may be wrong.
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) throw new Error(`${url.href} is larger than ${bodyBytesMax} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
}
