/** A connection of the load generator. */
export interface Connection {
  /**
   * Sends a request and resolves to the body of the reply.
   *
   * @throws unless the status is 200, or if the connection closes.
   */
  send(path: string, body: Uint8Array): Promise<Uint8Array>;
  close(): void;
}

export interface ConnectionOptions {
  readonly port: number;
  readonly contentType: string;
  readonly token: string;
}
