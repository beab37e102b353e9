import { defineCommand } from "../command.ts";
import { exitCodes } from "../exit-codes.ts";
import { openOperator } from "../operator.ts";

export const bounce = defineCommand({
  name: "bounce",
  usage: "[FILE]",
  help:
    "Record the delivery status notifications (RFC 3464) in a message or an mbox file, or in standard input. Exit code 75: " +
    "the database is unavailable, try again later.",
  options: {},
  async run({ argument: file }) {
    // Loaded here alone: the parser of messages costs a server memory and start time (docs/performance.md).
    const { describeBounces, readBounces } = await import("../read-bounces.ts");
    await using operator = await openOperator();
    console.log(describeBounces(await readBounces(operator, file)));
    return exitCodes.ok;
  },
});
