/** Disposes resources in reverse order, like AsyncDisposableStack, which needs Node 24. */
export class CleanupStack implements AsyncDisposable {
  readonly #resources: AsyncDisposable[] = [];

  add<T extends AsyncDisposable>(resource: T): T {
    this.#resources.push(resource);
    return resource;
  }

  defer(dispose: () => Promise<void>): void {
    this.#resources.push({ [Symbol.asyncDispose]: dispose });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (let resource = this.#resources.pop(); resource; resource = this.#resources.pop()) {
      await resource[Symbol.asyncDispose]();
    }
  }
}
