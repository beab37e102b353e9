import type { Setting } from "./setting.ts";

/** What applies where a setting is not set, such as "`127.0.0.1:8080`" or "none; dev: `*`". Empty if nothing is worth saying. */
export function describeDefault({ default: value, devDefault, unset, isNeeded }: Setting): string {
  const always = value ? `\`${value}\`` : (unset ?? (value === "" ? "none" : ""));
  const underDev = devDefault === undefined ? "" : `dev: \`${devDefault}\``;
  // Where `serve` needs it, what applies without it applies under `dev` alone.
  if (isNeeded) return underDev || `dev: ${always}`;
  return [always, underDev].filter(Boolean).join("; ");
}
