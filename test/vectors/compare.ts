import { isDeepStrictEqual } from "node:util";

/** What is to be said if two values are not the same. */
export function differs(what: string, got: unknown, expected: unknown): string[] {
  if (isDeepStrictEqual(got, expected)) return [];
  return [`${what}: ${JSON.stringify(got)}, not ${JSON.stringify(expected)}`];
}

/** What is to be said if work does not throw, or something else. */
export function whatThrows(work: () => unknown, message: RegExp): string[] {
  try {
    work();
  } catch (error) {
    const told = (error as Error).message;
    return message.test(told) ? [] : [`it is refused for another reason: ${told}`];
  }
  return ["it is accepted"];
}
