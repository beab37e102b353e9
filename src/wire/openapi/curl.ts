import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export interface CurlOptions {
  readonly httpMethod: string;
  /** With the parameters in braces. */
  readonly url: string;
  /** Parameter Objects. Those of the path and those that are needed are given by their examples. */
  readonly parameters: readonly JsonObject[];
  /** The JSON to send, if any. */
  readonly body: JsonValue | undefined;
  /** Whether the call needs a token: it is taken from the variable TOKEN. */
  readonly needsToken: boolean;
  /** Whether the reply comes bit by bit. */
  readonly isStreaming: boolean;
}

/** A call as a command for a POSIX shell. */
export function curlOf({ httpMethod, url, parameters, body, needsToken, isStreaming }: CurlOptions): string {
  let target = url;
  const query: string[] = [];
  for (const { name, in: place, example, required } of parameters) {
    if (example === undefined || !required) continue;
    const values = (Array.isArray(example) ? example : [example]).map((value) =>
      encodeURIComponent(String(value)),
    );
    if (place === "path") target = target.replace(`{${name}}`, values.join(""));
    else query.push(...values.map((value) => `${name}=${value}`));
  }
  if (query.length > 0) target += `?${query.join("&")}`;
  const usual = body === undefined ? "GET" : "POST";
  const parts = [
    `curl${isStreaming ? " -N" : ""}${httpMethod === usual ? "" : ` -X ${httpMethod}`} ${quote(target)}`,
  ];
  if (needsToken) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (body !== undefined)
    parts.push("-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(body))}`);
  return parts.join(" \\\n  ");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
