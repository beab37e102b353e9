import { isDeepStrictEqual } from "node:util";

/** Returns a problem if two values are not equal. */
export function differs(what: string, got: unknown, expected: unknown): string[] {
  if (isDeepStrictEqual(got, expected)) return [];
  return [`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`];
}

/** Returns a problem if `work` doesn't throw, or throws another message. */
export function unlessThrows(work: () => unknown, message: RegExp): string[] {
  try {
    work();
  } catch (error) {
    const actual = (error as Error).message;
    return message.test(actual) ? [] : [`it is rejected for another reason: ${actual}`];
  }
  return ["it is accepted"];
}
