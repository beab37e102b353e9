/**
 * Masks an email address: `m***@mouse.com`. The number of stars is fixed, so that it does not reveal the length of the
 * local part.
 */
export function maskAddress(address: string): string {
  const at = address.lastIndexOf("@");
  if (at < 1) return "***";
  const [first] = address;
  return `${first}***${address.slice(at)}`;
}
