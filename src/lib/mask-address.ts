/**
 * An address as it is shown to those who may not read it: `m***@mouse.com`. It is always one character and three stars,
 * so that a short local part looks like a long one.
 */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf("@");
  if (at < 1) return "***";
  const [first] = address;
  return `${first}***${address.slice(at)}`;
}
