import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

export interface CurlOptions {
  readonly httpMethod: string;
  /** With path parameters in braces. */
  readonly url: string;
  /** Parameter Objects. Required ones are set to their examples. */
  readonly parameters: readonly JsonObject[];
  /** The JSON body, if any. */
  readonly body: JsonValue | undefined;
  /** Whether to send the token in the variable TOKEN. */
  readonly needsToken: boolean;
  /** Whether the reply is a stream. */
  readonly isStreaming: boolean;
}

/** Returns a curl command for a POSIX shell. */
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
  const defaultMethod = body === undefined ? "GET" : "POST";
  const parts = [
    `curl${isStreaming ? " -N" : ""}${httpMethod === defaultMethod ? "" : ` -X ${httpMethod}`} ${quote(target)}`,
  ];
  if (needsToken) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (body !== undefined)
    parts.push("-H 'Content-Type: application/json'", `-d ${quote(JSON.stringify(body))}`);
  return parts.join(" \\\n  ");
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
