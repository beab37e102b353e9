import { readFileSync } from "node:fs";
import * as v from "valibot";

export const text = v.pipe(v.string(), v.trim(), v.nonEmpty("must not be empty"));

export const list = v.pipe(
  v.string(),
  v.transform((value) =>
    value
      .split(",")
      .map((item) => item.trim())
      .filter((item) => item !== ""),
  ),
);

export function integer(min: number, max: number) {
  return v.pipe(
    text,
    v.regex(/^\d{1,9}$/, `must be a whole number from ${min} to ${max}`),
    v.transform(Number),
    v.minValue(min, `must be at least ${min}`),
    v.maxValue(max, `must be at most ${max}`),
  );
}

/** Off is no limit at all. */
export const ceiling = v.pipe(
  text,
  v.regex(/^(off|\d{1,9})$/, 'must be a whole number from 1 to 999999999, or "off"'),
  v.transform((value) => (value === "off" ? Number.POSITIVE_INFINITY : Number(value))),
  v.minValue(1, "must be at least 1"),
);

const unitMs = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** "90s", "10m", "1h" or "1d" in milliseconds, or undefined. */
export function parseDuration(value: string): number | undefined {
  const match = /^(\d{1,6})([smhd])$/.exec(value);
  return match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : undefined;
}

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
    return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname));
  }, "must be an https origin such as https://otp.example.com (http for loopback hosts only), without a path"),
  v.transform((value) => new URL(value).origin),
);

export const onOff = v.picklist(["on", "off"], "must be on or off");

export const endpoint = v.pipe(
  text,
  v.check(
    (value) => /^\/(?!\/)[^?#]*$/.test(value) || (isFetchable(value) && !parseUrl(value)?.password),
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
      addIssue({ message: "must be PEM text, or the path of a file that can be read" });
      return NEVER;
    }
  }),
  v.check((value) => value.includes("-----BEGIN "), "must be PEM text, or the path of a PEM file"),
);

export function parseUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}

export function isFetchable(value: string): boolean {
  const url = parseUrl(value);
  return url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.hostname));
}

function isLoopback(hostname: string): boolean {
  return hostname === "localhost" || hostname === "[::1]" || /^127(\.\d{1,3}){3}$/.test(hostname);
}
