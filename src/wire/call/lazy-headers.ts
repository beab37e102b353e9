import { inspect } from "node:util";

/**
 * Request headers that are looked up in Node's raw headers, and copied into a Headers object only if a call needs more than
 * `get` and `has`. A Headers takes 5 us more per call (docs/performance.md).
 */
export class LazyHeaders implements Headers {
  /** Names and values in turn. */
  readonly #raw: readonly string[];
  #copy: Headers | undefined;

  /** @param raw `rawHeaders` of a Node request. The pseudo-headers of HTTP/2 are left out. */
  constructor(raw: readonly string[]) {
    this.#raw = raw;
  }

  get(name: string): string | null {
    if (this.#copy || !isSimpleName.test(name)) return this.#headers.get(name);
    return this.#find(name.toLowerCase());
  }

  has(name: string): boolean {
    return this.get(name) !== null;
  }

  append(name: string, value: string): void {
    this.#headers.append(name, value);
  }

  set(name: string, value: string): void {
    this.#headers.set(name, value);
  }

  delete(name: string): void {
    this.#headers.delete(name);
  }

  getSetCookie(): string[] {
    return this.#headers.getSetCookie();
  }

  forEach(callback: (value: string, name: string, parent: Headers) => void, thisArg?: unknown): void {
    for (const [name, value] of this) callback.call(thisArg, value, name, this);
  }

  entries() {
    return this.#headers.entries();
  }

  keys() {
    return this.#headers.keys();
  }

  values() {
    return this.#headers.values();
  }

  [Symbol.iterator]() {
    return this.entries();
  }

  [inspect.custom](): Headers {
    return this.#headers;
  }

  get #headers(): Headers {
    if (this.#copy) return this.#copy;
    this.#copy = new Headers();
    for (let i = 0; i < this.#raw.length; i += 2) {
      const name = this.#raw[i] ?? "";
      if (!name.startsWith(":")) this.#copy.append(name, this.#raw[i + 1] ?? "");
    }
    return this.#copy;
  }

  /** All values of a header, joined (RFC 9110 §5.3). `request.headers` has only the first one of some headers. */
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
}

/** Names that `Headers.get()` accepts. It throws on invalid ones. */
const isSimpleName = /^[A-Za-z0-9-]+$/;
