import { Code } from "@connectrpc/connect";
import { refuse } from "../http/guard.ts";
import { type Refusal, refusalReply } from "../http/refusal.ts";
import { type NodeHandler, type NodeRequest, type NodeResponse, type Reply, reply } from "../http/reply.ts";
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

/** What the links of mails do. Whether there is anything behind a handle is told by none of it but the code. */
export interface MailLinks {
  /** What the handle says it is for, be it true or not. */
  readonly purposeOf: (handle: string) => "enrolment" | "login";
  /** The code of the mail that the link stands in, while it can be entered. Changes nothing. */
  readonly codeOf: (handle: string) => Promise<string | undefined>;
  /** @returns whether the address of the mail is verified with the code. */
  readonly verify: (handle: string, typed: string, from: Sender) => Promise<boolean>;
  /** Says that the login of the mail was somebody else. */
  readonly report: (handle: string, from: Sender) => Promise<void>;
}

export interface Sender {
  readonly peer: string | undefined;
  /** All lines of `X-Forwarded-For`. */
  readonly forwardedFor: string | null;
}

export interface VerifyPageOptions {
  readonly links: MailLinks;
  /** Where the links of mails lead to: forms come from there alone. */
  readonly origin: string;
  readonly serviceName: string;
  /**
   * For whoever asks for none that there is. The language of the user is not asked for: it would tell a user from none.
   */
  readonly defaultLanguage: Language;
  /** Whether the codes of enrolment are digits alone. */
  readonly isNumeric: boolean;
  readonly onError: (error: unknown) => void;
}

/** How long a form may be and take. It holds a handle and a code. */
const formLimits = { bytesMax: 4_096, timeoutMs: 10_000 };

/**
 * Where the links of mails lead unless the application has a page of its own.
 *
 * To look at it changes nothing, as often as that may be: mail scanners follow links and run scripts. A button does, which
 * none of them presses. It takes no script, and what it shows is the same for every handle but for the code.
 */
export function createVerifyPage(options: VerifyPageOptions): NodeHandler {
  return (request, response) => {
    switch (request.method) {
      case "GET":
      case "HEAD":
        return answerWith(show(options, request), options, request, response);
      case "POST":
        return answerWith(submit(options, request), options, request, response);
      default:
        return reply(request, response, notAllowed);
    }
  };
}

type Answer = Reply | { readonly refusal: Refusal } | undefined;

function answerWith(
  answer: Promise<Answer>,
  options: VerifyPageOptions,
  request: NodeRequest,
  response: NodeResponse,
): void {
  answer.then(
    (made) => {
      if (!made) return;
      if ("refusal" in made) return refuse(request, response, made.refusal);
      reply(request, response, made);
    },
    (error: unknown) => {
      options.onError(error);
      reply(request, response, retryPage(settingsOf(options, request)));
    },
  );
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

async function submit(options: VerifyPageOptions, request: NodeRequest): Promise<Answer> {
  if (isFromElsewhere(request, options.origin)) return { refusal: fromElsewhere };
  const result = await readForm(request, formLimits);
  if (result.kind === "gone") return undefined;
  if (result.kind === "refused") return result;
  const { fields } = result;
  const handle = handleIn(fields);
  const from = senderOf(request);
  if (options.links.purposeOf(handle) === "login") {
    await options.links.report(handle, from);
    return redirectTo("reported");
  }
  if (await options.links.verify(handle, fields.get("code") ?? "", from)) return redirectTo("verified");
  const { isNumeric } = options;
  return verifyFormPage(settingsOf(options, request), {
    handle,
    code: undefined,
    isNumeric,
    hasFailed: true,
  });
}

/**
 * RFC 6454, Fetch Metadata. The browser says `Origin: null` for our own form too, since the page has no referrer: then, and
 * where it says nothing, the handle in the form stands alone.
 */
function isFromElsewhere({ headers }: NodeRequest, ownOrigin: string): boolean {
  const site = headers["sec-fetch-site"];
  // `none`: the person, by a reload.
  if (site !== undefined) return site !== "same-origin" && site !== "none";
  const { origin = "null" } = headers;
  return origin !== "null" && origin !== ownOrigin;
}

/** Links of older mails have the name `challenge`. What cannot be a handle is as none. */
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

function senderOf({ socket, headers }: NodeRequest): Sender {
  const forwarded = headers["x-forwarded-for"];
  const lines = Array.isArray(forwarded) ? forwarded.join(",") : forwarded;
  return { peer: socket.remoteAddress, forwardedFor: lines ?? null };
}

const endings: readonly Ending[] = ["verified", "reported"];

/** To a page that can be loaded again: what was done is not done twice, and not said to have failed. */
function redirectTo(ending: Ending): Reply {
  return { status: 303, headers: { ...pageHeaders, location: `/verify?done=${ending}` }, body: "" };
}

const fromElsewhere: Refusal = {
  status: 403,
  code: Code.PermissionDenied,
  reason: "CROSS_SITE",
  message: "another site sent this form: open the link of the mail, and use the button there",
};

const methodNotAllowed: Refusal = {
  status: 405,
  code: Code.Unimplemented,
  reason: "METHOD_NOT_ALLOWED",
  message: "this page is read with GET or HEAD, and its form is sent with POST",
};

const refusedMethod = refusalReply(methodNotAllowed);
const notAllowed: Reply = {
  ...refusedMethod,
  headers: { ...pageHeaders, ...refusedMethod.headers, allow: "GET, HEAD, POST" },
};
