import { setMaxListeners } from "node:events";

/** Returns an AbortController without Node's limit of 10 listeners, for signals that live as long as the process. */
export function createSharedController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
