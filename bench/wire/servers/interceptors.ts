import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Interceptor } from "@connectrpc/connect";
import { admit } from "../../../src/api/admit.ts";
import { type LogCallsOptions, logCalls } from "../../../src/api/log-calls.ts";
import { requireText } from "../../../src/api/text-fields.ts";
import { openLocalIssuer } from "../../../src/auth/local-issuer.ts";
import { createVerifier } from "../../../src/auth/verifier.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { createLog, inBatches } from "../../../src/lib/log.ts";
import { callEnd } from "../../../src/wire/wire.ts";
import type { Text } from "../echo.ts";

const audience = "bench";
const orgId = "bench-org";

/**
 * The interceptors of the service: log, authenticate, validate, authorize. The caller is authorized by a permission in an
 * organization, so that no storage is read. The log is configured as in production, but written to /dev/null.
 */
export async function realInterceptors(
  protocolOf: LogCallsOptions["protocolOf"],
): Promise<{ interceptors: Interceptor[]; headers: Record<string, string> }> {
  const folder = mkdtempSync(join(tmpdir(), "countersign-bench-"));
  const issuer = await openLocalIssuer(folder);
  rmSync(folder, { recursive: true });
  const token = await issuer.issue(
    { subject: "bench", audience, org: orgId, permissions: ["user.write"], ttlMs: 3_600_000 },
    systemClock,
  );
  const interceptors = [
    logCalls({
      log: createLog("info", inBatches("/dev/null")),
      isStorageUnavailable: () => false,
      protocolOf,
    }),
    admit({
      admissions: {
        "EchoService.Echo": {
          rule: { anyOf: ["user.write"], target: "organization", self: false },
          parse: (message: Text) => ({ orgId, text: requireText(message.text, "text") }),
        },
      },
      verifier: createVerifier({ issuers: [issuer], audience, clock: systemClock }),
      findUser: async () => undefined,
      clientAddressOf: () => undefined,
      callerOf: ({ contextValues }) => contextValues.get(callEnd),
    }),
  ];
  return { interceptors, headers: { authorization: `Bearer ${token}` } };
}
