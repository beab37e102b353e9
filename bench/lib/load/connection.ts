/** One connection of the load generator. */
export interface Connection {
  /**
   * Sends a request and resolves with the body of its reply.
   *
   * @throws unless its status is 200, or if the connection ends.
   */
  send(path: string, body: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

export interface ConnectionOptions {
  readonly port: number;
  readonly contentType: string;
  readonly token: string;
}
