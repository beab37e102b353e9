/** Sender of all mails. */
export const sender = { name: "Countersign", address: "codes@bench.example" };

export const addressOf = (i: number) => `reader.${i}@bench.example`;
