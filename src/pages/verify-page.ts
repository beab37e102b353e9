import { Code } from "@connectrpc/connect";
import { refuse } from "../http/guard.ts";
import { type HttpRefusal, refusalReply } from "../http/http-refusal.ts";
import { type NodeHandler, type NodeRequest, type NodeResponse, type Reply, reply } from "../http/reply.ts";
import type { Clock } from "../lib/clock.ts";
import { chooseLanguage, type Language } from "../texts/languages.ts";
import { readForm } from "./form.ts";
import {
  type Ending,
  endPage,
  loginCodePage,
  type PageSettings,
  pageHeaders,
  retryPage,
  verifyFormPage,
} from "./page-html.ts";
import type { Page } from "./pages.ts";

/** What the links in mails can do. Only the code reveals whether a handle is valid. */
export interface MailLinks {
  /** What the handle claims to be for. It may be forged. */
  readonly purposeOf: (handle: string) => "enrolment" | "login";
  /** The code of the mail with this link, while it can be entered. Changes nothing. */
  readonly codeOf: (handle: string) => Promise<string | undefined>;
  /** @returns whether the address of the mail is verified with the code. */
  readonly verify: (handle: string, typed: string, client: FormClient) => Promise<boolean>;
  /** Reports that the reader of the mail didn't start this login. */
  readonly reportLogin: (handle: string, client: FormClient) => Promise<void>;
}

/** Where a form comes from. */
export interface FormClient {
  /** The IP address of the connection. */
  readonly peer: string | undefined;
  /** All lines of `X-Forwarded-For`, joined with commas. */
  readonly forwardedFor: string | null;
}

export interface VerifyPageOptions {
  readonly links: MailLinks;
  /** The origin of the links in mails. Forms from other origins are refused. */
  readonly origin: string;
  readonly serviceName: string;
  /** Used when none of the requested languages is available. Using the user's language would reveal that the user exists. */
  readonly defaultLanguage: Language;
  /** Whether enrolment codes are digits only. */
  readonly isNumeric: boolean;
  readonly clock: Clock;
  readonly onError: (error: unknown) => void;
}

/** A form has a handle and a code. */
const formLimits = { bytesMax: 4_096, timeoutMs: 10_000 };

/**
 * `/verify`: the target of the links in mails, unless the application has a page of its own.
 *
 * GET changes nothing, however often: mail scanners follow links and run scripts. The button of the form does; scanners don't
 * press it. The page works without scripts, and looks the same for every handle except for the code.
 */
export function verifyPages(options: VerifyPageOptions): Page[] {
  const handler: NodeHandler = async (request, response) => {
    try {
      switch (request.method) {
        case "GET":
        case "HEAD":
          return reply(request, response, await show(options, request));
        case "POST":
          return await submit(options, request, response);
        default:
          return reply(request, response, methodNotAllowed);
      }
    } catch (error) {
      options.onError(error);
      reply(request, response, retryPage(settingsOf(options, request)));
    }
  };
  // Mails of older versions link to /not-me.
  return ["/verify", "/not-me"].map((path) => ({ path, handler }));
}

async function show(options: VerifyPageOptions, request: NodeRequest): Promise<Reply> {
  const query = queryOf(request);
  const settings = settingsOf(options, request);
  const ending = endings.find((name) => name === query.get("done"));
  if (ending) return endPage(settings, ending);
  const handle = handleIn(query);
  const code = handle === "" ? undefined : await options.links.codeOf(handle);
  if (options.links.purposeOf(handle) === "login") return loginCodePage(settings, { handle, code });
  return verifyFormPage(settings, { handle, code, isNumeric: options.isNumeric, hasFailed: false });
}

async function submit(
  options: VerifyPageOptions,
  request: NodeRequest,
  response: NodeResponse,
): Promise<void> {
  const { links, origin, isNumeric, clock } = options;
  if (isCrossSite(request, origin)) return refuse(request, response, crossSite);
  const form = await readForm(request, { ...formLimits, clock });
  if (form.kind === "gone") return;
  if (form.kind === "refused") return refuse(request, response, form.refusal);
  const handle = handleIn(form.fields);
  const client = clientOf(request);
  if (links.purposeOf(handle) === "login") {
    await links.reportLogin(handle, client);
    return reply(request, response, redirectTo("reported"));
  }
  if (await links.verify(handle, form.fields.get("code") ?? "", client)) {
    return reply(request, response, redirectTo("verified"));
  }
  const again = { handle, code: undefined, isNumeric, hasFailed: true };
  reply(request, response, verifyFormPage(settingsOf(options, request), again));
}

/**
 * Whether another site sent the form (Fetch Metadata; RFC 6454 §7).
 *
 * Browsers send `Origin: null` for the page's own form, since the page has no referrer. Then, and without both headers, the
 * handle alone authorizes the form.
 */
function isCrossSite({ headers }: NodeRequest, ownOrigin: string): boolean {
  const site = headers["sec-fetch-site"];
  // `none`: the user reloaded the page.
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  const { origin = "null" } = headers;
  return origin !== "null" && origin !== ownOrigin;
}

/** The handle of a link or form, "" if it is missing or malformed. Links of older versions name it `challenge`. */
function handleIn(fields: URLSearchParams): string {
  const handle = fields.get("h") ?? fields.get("challenge") ?? "";
  return /^[\w.~-]{1,200}$/.test(handle) ? handle : "";
}

function queryOf({ url = "" }: NodeRequest): URLSearchParams {
  return new URLSearchParams(url.split("?", 2)[1]);
}

function settingsOf(
  { serviceName, defaultLanguage }: VerifyPageOptions,
  { headers }: NodeRequest,
): PageSettings {
  return { serviceName, language: chooseLanguage([headers["accept-language"]], defaultLanguage) };
}

function clientOf({ socket, headers }: NodeRequest): FormClient {
  const forwarded = headers["x-forwarded-for"];
  const lines = Array.isArray(forwarded) ? forwarded.join(",") : forwarded;
  return { peer: socket.remoteAddress, forwardedFor: lines ?? null };
}

const endings: readonly Ending[] = ["verified", "reported"];

/** Redirects to a page that is safe to reload: a reload repeats nothing and shows no failure. */
function redirectTo(ending: Ending): Reply {
  return { status: 303, headers: { ...pageHeaders, location: `/verify?done=${ending}` }, body: "" };
}

const crossSite: HttpRefusal = {
  status: 403,
  code: Code.PermissionDenied,
  reason: "CROSS_SITE",
  message: "another site sent this form: open the link in the mail and use the button there",
};

const refusedMethod = refusalReply({
  status: 405,
  code: Code.Unimplemented,
  reason: "METHOD_NOT_ALLOWED",
  message: "read this page with GET or HEAD, send its form with POST",
});
const methodNotAllowed: Reply = {
  ...refusedMethod,
  headers: { ...pageHeaders, ...refusedMethod.headers, allow: "GET, HEAD, POST" },
};
