import { Code } from "@connectrpc/connect";
import { type Refusal, tooSlow } from "../http/refusal.ts";
import type { NodeRequest } from "../http/reply.ts";

export interface FormLimits {
  readonly bytesMax: number;
  /** How long the body may take to arrive, in milliseconds. */
  readonly timeoutMs: number;
}

export type FormResult =
  | { readonly kind: "form"; readonly fields: URLSearchParams }
  | { readonly kind: "refused"; readonly refusal: Refusal }
  /** Nobody waits for an answer any more. */
  | { readonly kind: "gone" };

/** Reads what a form of HTML sends (`application/x-www-form-urlencoded`). It never rejects. */
export async function readForm(request: NodeRequest, limits: FormLimits): Promise<FormResult> {
  const { "content-type": type = "", "content-encoding": coding = "identity" } = request.headers;
  const mediaType = type.split(";", 1)[0]?.trim().toLowerCase();
  if (mediaType !== "application/x-www-form-urlencoded" || coding !== "identity") return refused(notAForm);
  if (Number(request.headers["content-length"] ?? 0) > limits.bytesMax) return refused(formTooLarge);

  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const finish = (result: FormResult) => {
      clearTimeout(timer);
      request.off("data", read);
      resolve(result);
    };
    const timer = setTimeout(() => finish(refused(tooSlow)), limits.timeoutMs);
    const read = (chunk: Buffer) => {
      length += chunk.length;
      if (length > limits.bytesMax) return finish(refused(formTooLarge));
      chunks.push(chunk);
    };
    request.on("data", read);
    request.on("end", () => {
      finish({ kind: "form", fields: new URLSearchParams(Buffer.concat(chunks).toString()) });
    });
    request.on("close", () => finish({ kind: "gone" }));
  });
}

const notAForm: Refusal = {
  status: 415,
  code: Code.InvalidArgument,
  reason: "REQUEST_MALFORMED",
  message: "this page takes what its form sends: application/x-www-form-urlencoded",
};

const formTooLarge: Refusal = {
  status: 413,
  code: Code.ResourceExhausted,
  reason: "REQUEST_TOO_LARGE",
  message: "the form is too large: send what the page asks for alone",
};

function refused(refusal: Refusal): FormResult {
  return { kind: "refused", refusal };
}
