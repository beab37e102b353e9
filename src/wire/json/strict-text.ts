import { malformed } from "../call/wire-error.ts";

/** Maximum nesting of JSON. protobuf-es has the same limit for binary messages. */
export const depthMax = 100;

/**
 * Rejects what JSON.parse() accepts silently: unlimited nesting, and duplicate keys. JSON.parse() keeps the last of two
 * values, while a proxy that checked the request may have read the first.
 *
 * @param text valid JSON.
 * @throws INVALID_ARGUMENT
 */
export function rejectDeepOrDuplicateKeys(text: string): void {
  // The keys of each open object, undefined for a list.
  const open: (Set<string> | undefined)[] = [];
  let isKey = false;
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case "{":
      case "[":
        isKey = text[i] === "{";
        open.push(isKey ? new Set() : undefined);
        if (open.length > depthMax) throw malformed("the message is nested too deeply");
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case ",":
        isKey = open.at(-1) !== undefined;
        break;
      case '"': {
        const start = i;
        i = endOfString(text, i);
        if (isKey) addKey(open.at(-1), text.slice(start, i + 1));
        isKey = false;
      }
    }
  }
}

/** Returns the index of the closing quote of a string. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
  return i;
}

function addKey(keys: Set<string> | undefined, literal: string): void {
  const key = literal.includes("\\") ? (JSON.parse(literal) as string) : literal.slice(1, -1);
  if (keys?.has(key)) throw malformed("an object in the body has a duplicate key: keep one of them");
  keys?.add(key);
}
