import { inspect } from "node:util";

/**
 * Headers that are made of raw fields when they are needed. A call is asked for one or two of its headers, and those
 * are found in the raw fields; to make a Headers costs as much as to decode the message.
 *
 * They are a Headers to whoever is given them, also to `instanceof`.
 */
export class LazyHeaders implements Headers {
  /** Names and values in turn, as node:http has them. Those of HTTP/2 itself begin with a colon. */
  readonly #raw: readonly string[];
  #made: Headers | undefined;

  constructor(raw: readonly string[] = []) {
    this.#raw = raw;
  }

  /** Whether it is surely empty: nobody has put anything into it. */
  static isEmpty(headers: Headers): boolean {
    return headers instanceof LazyHeaders && headers.#made === undefined && headers.#raw.length === 0;
  }

  get(name: string): string | null {
    const found = this.#made ? null : this.#find(name.toLowerCase());
    // Headers itself knows which names are none, and throws.
    return found ?? (this.#made || !isSimpleName.test(name) ? this.#make().get(name) : null);
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  append(name: string, value: string): void {
    this.#make().append(name, value);
  }

  set(name: string, value: string): void {
    this.#make().set(name, value);
  }

  delete(name: string): void {
    this.#make().delete(name);
  }

  getSetCookie(): string[] {
    return this.#make().getSetCookie();
  }

  forEach(callback: (value: string, name: string, parent: Headers) => void, thisArg?: unknown): void {
    for (const [name, value] of this.#make()) callback.call(thisArg, value, name, this);
  }

  entries() {
    return this.#make().entries();
  }

  keys() {
    return this.#make().keys();
  }

  values() {
    return this.#make().values();
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  [inspect.custom](): Headers {
    return this.#make();
  }

  /** All values of a name, joined (RFC 9110 §5.3). node:http would show the first one alone of some fields. */
  #find(name: string): string | null {
    let found: string | null = null;
    for (let i = 0; i < this.#raw.length; i += 2) {
      const candidate = this.#raw[i] ?? "";
      if (candidate.length !== name.length || candidate.toLowerCase() !== name) continue;
      const value = this.#raw[i + 1] ?? "";
      found = found === null ? value : `${found}, ${value}`;
    }
    return found;
  }

  #make(): Headers {
    if (this.#made) return this.#made;
    const made = new Headers();
    for (let i = 0; i < this.#raw.length; i += 2) {
      const name = this.#raw[i] ?? "";
      if (!name.startsWith(":")) made.append(name, this.#raw[i + 1] ?? "");
    }
    this.#made = made;
    return made;
  }
}

Object.setPrototypeOf(LazyHeaders.prototype, Headers.prototype);

const isSimpleName = /^[A-Za-z0-9-]+$/;
