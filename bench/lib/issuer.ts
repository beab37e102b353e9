import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { defaultRolesClaim } from "../../src/auth/principal.ts";
import { orgId } from "./workload.ts";

export const audience = "countersign-bench";

/** An issuer of ES256 access tokens (RFC 9068) that serves its keys over HTTP. */
export interface Issuer {
  readonly issuer: string;
  readonly jwksUri: string;
  readonly tokens: readonly string[];
  close(): void;
}

/** @param count number of tokens, each for a different caller. */
export async function startIssuer(count: number): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair("ES256");
  const kid = "bench";
  const jwks = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" }] });
  const server = createServer((_, response) =>
    response.writeHead(200, { "content-type": "application/json" }).end(jwks),
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const claims = {
    client_id: "bench",
    [defaultRolesClaim]: Object.fromEntries(
      ["user.write", "otp.challenge"].map((role) => [role, { [orgId]: "bench.example" }]),
    ),
  };
  const token = (_: unknown, i: number) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: "ES256", typ: "at+jwt", kid })
      .setIssuer(issuer)
      .setSubject(`caller-${i}`)
      .setAudience(audience)
      .setIssuedAt()
      .setExpirationTime("12h")
      .setJti(randomUUID())
      .sign(privateKey);
  return {
    issuer,
    jwksUri: `${issuer}/jwks`,
    tokens: await Promise.all(Array.from({ length: count }, token)),
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
