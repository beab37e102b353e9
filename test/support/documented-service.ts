import { startTestApp, type TestApp } from "./app.ts";
import { createChecker, type OpenApi, operationsOf } from "./openapi.ts";

/** A running service with its document, whose replies are checked against the document. */
export interface DocumentedService {
  readonly test: TestApp;
  readonly document: OpenApi;
  readonly operations: ReturnType<typeof operationsOf>;
  readonly check: ReturnType<typeof createChecker>;
  /** A token with all permissions. */
  readonly token: string;
}

/** Starts the service and reads its OpenAPI document. */
export async function startDocumented(): Promise<DocumentedService> {
  const test = await startTestApp();
  const document = (await (await fetch(`${test.origin}/openapi.json`)).json()) as OpenApi;
  const token = await test.token("admin", { permissions: ["user.write", "otp.challenge"] });
  return { test, document, operations: operationsOf(document), check: createChecker(document), token };
}
