import { setMaxListeners } from "node:events";

/** An AbortController that many may listen to for as long as they like. Node warns of a leak from 11 listeners on. */
export function createSharedController(): AbortController {
  const controller = new AbortController();
  setMaxListeners(0, controller.signal);
  return controller;
}
