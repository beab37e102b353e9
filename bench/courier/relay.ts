import type { AddressInfo } from "node:net";
import { SMTPServer } from "smtp-server";

// A relay that accepts every mail and discards it: `relay.js DELAY`, the milliseconds before each reply to MAIL, RCPT and the
// message. Sends its port to the parent process.
const delayMs = Number(process.argv[2]);
const later =
  delayMs > 0 ? (reply: () => void) => setTimeout(reply, delayMs) : (reply: () => void) => reply();

const server = new SMTPServer({
  authOptional: true,
  disabledCommands: ["AUTH", "STARTTLS"],
  disableReverseLookup: true,
  onMailFrom: (_address, _session, taken) => void later(taken),
  onRcptTo: (_address, _session, taken) => void later(taken),
  onData(stream, _session, taken) {
    stream.on("data", () => {});
    stream.on("end", () => later(taken));
  },
});
server.on("error", () => {});
server.listen(0, "127.0.0.1", () => {
  process.send?.((server.server.address() as AddressInfo).port);
});
process.on("disconnect", () => process.exit());
