import { Code } from "@connectrpc/connect";
import { type HttpRefusal, tooSlow } from "../http/http-refusal.ts";
import type { NodeRequest } from "../http/reply.ts";
import type { Clock } from "../lib/clock.ts";
import { readBody } from "./body.ts";

export interface FormOptions {
  readonly bytesMax: number;
  /** How long the body may take to arrive, in milliseconds. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

export type FormResult =
  | { readonly kind: "form"; readonly fields: URLSearchParams }
  | { readonly kind: "refused"; readonly refusal: HttpRefusal }
  /** The client has left: no reply is needed. */
  | { readonly kind: "gone" };

/** Reads an HTML form (`application/x-www-form-urlencoded`). Never rejects. */
export async function readForm(
  request: NodeRequest,
  { bytesMax, timeoutMs, clock }: FormOptions,
): Promise<FormResult> {
  const { "content-type": type = "", "content-encoding": coding = "identity" } = request.headers;
  const mediaType = type.split(";", 1)[0]?.trim().toLowerCase();
  if (mediaType !== "application/x-www-form-urlencoded" || coding !== "identity") return refused(notAForm);
  if (Number(request.headers["content-length"] ?? 0) > bytesMax) return refused(formTooLarge);

  const done = new AbortController();
  const late = clock.wait(timeoutMs, done.signal).then(() => "late" as const);
  const body = await Promise.race([readBody(request, bytesMax), late]);
  done.abort();
  switch (body) {
    case "late":
      return refused(tooSlow);
    case "too large":
      return refused(formTooLarge);
    case "gone":
      return { kind: "gone" };
    default:
      return { kind: "form", fields: new URLSearchParams(body.toString()) };
  }
}

const notAForm: HttpRefusal = {
  status: 415,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message: "send the form of this page as application/x-www-form-urlencoded",
};

const formTooLarge: HttpRefusal = {
  status: 413,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the form is too large: send only the fields of this page",
};

function refused(refusal: HttpRefusal): FormResult {
  return { kind: "refused", refusal };
}
