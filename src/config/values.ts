import { readFileSync } from "node:fs";
import * as v from "valibot";
import { isLoopback } from "../lib/loopback.ts";
import { dayMs, hourMs, minuteMs, secondMs } from "../lib/time.ts";

export const text = v.pipe(v.string(), v.trim(), v.nonEmpty("must not be empty"));

/** Comma-separated items, without blanks around them. */
export const items = v.pipe(
  v.string(),
  v.transform((value) =>
    value
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  ),
);

/** Comma-separated items, each listed once. */
export const list = v.pipe(
  items,
  v.check((listed) => isDistinct(listed), "must not list an item twice"),
);

export function isDistinct(values: readonly string[]): boolean {
  return new Set(values).size === values.length;
}

export function integer(min: number, max: number) {
  return v.pipe(
    text,
    v.regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`),
    v.transform(Number),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  );
}

/** A number of at least 1, or "off": Infinity. */
export const ceiling = v.pipe(
  text,
  v.regex(/^(off|\d{1,9})$/, 'must be a whole number from 1 to 999999999, or "off"'),
  v.transform((value) => (value === "off" ? Number.POSITIVE_INFINITY : Number(value))),
  v.minValue(1, "must be at least 1"),
);

const unitMs = { s: secondMs, m: minuteMs, h: hourMs, d: dayMs } as const;

/** Reads "90s", "10m", "1h" or "1d" as milliseconds. Undefined if it is none of these. */
export function parseDuration(value: string): number | undefined {
  const match = /^(\d{1,6})([smhd])$/.exec(value);
  return match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : undefined;
}

/** A duration in milliseconds. `range` says to the reader what the limits are. */
export function duration(minMs: number, maxMs: number, range: string) {
  return v.pipe(
    text,
    v.transform((value) => parseDuration(value) ?? Number.NaN),
    v.check((ms) => ms >= minMs && ms <= maxMs, `must be a duration such as 90s, 10m or 1h, ${range}`),
  );
}

export const origin = v.pipe(
  text,
  v.check((value) => {
    const url = parseUrl(value);
    if (url?.pathname !== "/" || url.search || url.hash || url.username || url.password) return false;
    return isHttpsOrLoopback(value);
  }, "must be an https origin such as https://otp.example.com (http for loopback hosts only), without a path"),
  v.transform((value) => new URL(value).origin),
);

export const onOff = v.pipe(
  v.picklist(["on", "off"], "must be on or off"),
  v.transform((value) => value === "on"),
);

/** A URL, or a path at an origin that is known elsewhere. */
export const endpoint = v.pipe(
  text,
  v.check(
    (value) => /^\/(?!\/)[^?#]*$/.test(value) || (isHttpsOrLoopback(value) && !parseUrl(value)?.password),
    "must be an https URL without a password, or a path such as /oauth/v2/authorize",
  ),
);

/** PEM text, or the path of a file that holds it. */
export const pem = v.pipe(
  text,
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    if (dataset.value.startsWith("-----BEGIN ")) return dataset.value;
    try {
      return readFileSync(dataset.value, "utf8");
    } catch {
      addIssue({ message: "must be PEM text, or the path of a readable PEM file" });
      return NEVER;
    }
  }),
  v.check((value) => value.includes("-----BEGIN "), "must be PEM text, or the path of a PEM file"),
);

export function parseUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}

/** Whether it is an https URL, or an http URL of this machine. */
export function isHttpsOrLoopback(value: string): boolean {
  const url = parseUrl(value);
  if (url?.protocol === "http:") return isLoopback(url.hostname);
  return url?.protocol === "https:";
}
