import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it, onTestFinished } from "vitest";
import { codeIn, startTestApp } from "../support/app.ts";
import { openPage } from "../support/chromium.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** An import map, so that the page needs no bundler. */
const imports = {
  "@bufbuild/protobuf": "/node_modules/@bufbuild/protobuf/dist/esm/index.js",
  "@bufbuild/protobuf/codegenv2": "/node_modules/@bufbuild/protobuf/dist/esm/codegenv2/index.js",
  "@bufbuild/protobuf/reflect": "/node_modules/@bufbuild/protobuf/dist/esm/reflect/index.js",
  "@bufbuild/protobuf/wire": "/node_modules/@bufbuild/protobuf/dist/esm/wire/index.js",
  "@bufbuild/protobuf/wkt": "/node_modules/@bufbuild/protobuf/dist/esm/wkt/index.js",
  "@connectrpc/connect": "/node_modules/@connectrpc/connect/dist/esm/index.js",
  "@connectrpc/connect/protocol": "/node_modules/@connectrpc/connect/dist/esm/protocol/index.js",
  "@connectrpc/connect/protocol-connect":
    "/node_modules/@connectrpc/connect/dist/esm/protocol-connect/index.js",
  "@connectrpc/connect/protocol-grpc-web":
    "/node_modules/@connectrpc/connect/dist/esm/protocol-grpc-web/index.js",
  "@connectrpc/connect-web": "/node_modules/@connectrpc/connect-web/dist/esm/index.js",
};

const page = `<!doctype html><title>client</title><script type="importmap">${JSON.stringify({ imports })}</script>
<script type="module">
  import { createClient } from "@connectrpc/connect";
  import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";
  import { UserService } from "/dist/gen/countersign/user/v3alpha/user_service_pb.js";
  window.call = async ({ protocol, baseUrl, token, method, request }) => {
    const transport = {
      "Connect JSON": () => createConnectTransport({ baseUrl }),
      "Connect proto": () => createConnectTransport({ baseUrl, useBinaryFormat: true }),
      "gRPC-Web": () => createGrpcWebTransport({ baseUrl }),
    }[protocol]();
    const headers = { authorization: "Bearer " + token };
    try {
      const reply = await createClient(UserService, transport)[method](request, { headers });
      return { reply: JSON.parse(JSON.stringify(reply, (_, v) => (typeof v === "bigint" ? v.toString() : v))) };
    } catch (error) {
      return { error: { code: error.code, message: error.rawMessage, challenge: error.metadata?.get("www-authenticate") } };
    }
  };
  document.title = "ready";
</script>`;

/** Serves the page and the files of this repository from another origin than the service. */
async function servePage(): Promise<string> {
  const server = createServer((request, response) => {
    const path = normalize(join(root, new URL(request.url ?? "/", "http://page").pathname));
    if (path === root) return response.setHeader("content-type", "text/html").end(page);
    if (!path.startsWith(root + (root.endsWith(sep) ? "" : sep)) || !existsSync(path)) {
      return response.writeHead(404).end();
    }
    return response.setHeader("content-type", "text/javascript").end(readFileSync(path));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

interface Outcome {
  reply?: { otpEmailId: string; details: { sequence: string } };
  error?: { code: number; message: string; challenge: string | null };
}

describe("Connect-web in Chromium, from another origin", () => {
  it("adds and verifies an address over Connect and gRPC-Web, and reads errors", async () => {
    const pageOrigin = await servePage();
    const test = await startTestApp({ environment: { COUNTERSIGN_ALLOWED_ORIGINS: pageOrigin } });
    await (await test.admin()).createUser({
      userId: "u",
      organization: { org: { case: "orgId", value: "o" } },
    });
    const token = await test.token("u");
    const tab = await openPage();
    await tab.goto(pageOrigin);
    await tab.waitForFunction("document.title === 'ready'");
    const call = (protocol: string, method: string, request: unknown, bearer = token) =>
      tab.evaluate(
        (options) => (globalThis as unknown as { call(o: unknown): Promise<Outcome> }).call(options),
        { protocol, baseUrl: test.origin, token: bearer, method, request },
      );

    for (const protocol of ["Connect JSON", "Connect proto", "gRPC-Web"]) {
      const address = `${protocol.toLowerCase().replace(" ", "-")}@mouse.com`;
      const added = await call(protocol, "addOTPEmail", { userId: "u", email: { address } });
      expect(added.error, protocol).toBeUndefined();
      const [mail] = await test.mails(address);
      const { otpEmailId } = added.reply!;
      const verified = await call(protocol, "verifyOTPEmail", {
        userId: "u",
        otpEmailId,
        code: codeIn(mail!),
      });
      expect(verified.error, protocol).toBeUndefined();
      const refused = await call(protocol, "addOTPEmail", { userId: "u", email: { address } }, "not.a.token");
      expect(refused.error).toMatchObject({ code: 16, challenge: expect.stringContaining("invalid_token") });
    }
  });

  it("cannot read the pages of the service, even if all origins are allowed", async () => {
    const pageOrigin = await servePage();
    const test = await startTestApp();
    const tab = await openPage();
    await tab.goto(pageOrigin);
    const read = (path: string) =>
      tab.evaluate(
        (url) =>
          fetch(url).then(
            () => "read",
            () => "blocked",
          ),
        test.origin + path,
      );
    expect(await read("/dev/mailbox/messages")).toBe("blocked");
    expect(await read("/v3alpha/users/u")).toBe("read");
  });

  it("is blocked if its origin is not allowed", async () => {
    const pageOrigin = await servePage();
    const test = await startTestApp({
      environment: { COUNTERSIGN_ALLOWED_ORIGINS: "https://app.example.com" },
    });
    const tab = await openPage();
    await tab.goto(pageOrigin);
    const outcome = await tab.evaluate(
      (url) =>
        fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: "{}" }).then(
          () => "answered",
          () => "blocked",
        ),
      `${test.origin}/countersign.user.v3alpha.UserService/GetUserByID`,
    );
    expect(outcome).toBe("blocked");
  });
});
