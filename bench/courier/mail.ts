/** Whom all mails come from. */
export const sender = { name: "Countersign", address: "codes@bench.example" };

export const addressOf = (i: number) => `reader.${i}@bench.example`;
