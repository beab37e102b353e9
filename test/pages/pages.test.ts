import { describe, expect, test } from "vitest";
import type { NodeHandler } from "../../src/http/reply.ts";
import { createPages, type Page } from "../../src/pages/pages.ts";
import { send, start, type Transport, tls, transports } from "../support/http/requests.ts";

const page = (path: string, body: string, more: Partial<Page> = {}): Page => ({
  path,
  handler: (_request, response) => void response.end(body),
  ...more,
});

const next: NodeHandler = (_request, response) => void response.writeHead(404).end("no page");

function startWith(pages: readonly Page[], { isTls }: Transport) {
  const cors = (_request: unknown, response: Parameters<NodeHandler>[1]) => {
    response.setHeader("access-control-allow-origin", "*");
    return false;
  };
  return start({ ...(isTls ? { tls } : {}), handler: createPages({ pages, cors, next }) });
}

describe.each(transports)("$name", (transport) => {
  test.each(["/", "/page/", "//page", "/PAGE", "/%70age", "/page/x", "/page;x", "/x?/page"])(
    "has no page at %s",
    async (path) => {
      const server = await startWith([page("/page", "page")], transport);
      expect(await send(server, transport, { path })).toMatchObject({ status: 404, body: "no page" });
    },
  );

  test("serves each page at its path, the later of two with the same path", async () => {
    const pages = [page("/other", "first"), page("/page", "page"), page("/other", "second")];
    const server = await startWith(pages, transport);
    expect((await send(server, transport, { path: "/page?to=x" })).body).toBe("page");
    expect((await send(server, transport, { path: "/other" })).body).toBe("second");
  });

  test("adds CORS headers to cross-origin pages and to all that is no page", async () => {
    const pages = [page("/page", "page"), page("/open", "open", { isCrossOrigin: true })];
    const server = await startWith(pages, transport);
    const allowOf = async (path: string) =>
      (await send(server, transport, { path })).headers["access-control-allow-origin"];
    expect(await allowOf("/page")).toBeUndefined();
    expect(await allowOf("/open")).toBe("*");
    expect(await allowOf("/call")).toBe("*");
  });
});
