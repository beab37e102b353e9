import { expect, it } from "vitest";
import { createBatcher } from "../../../src/mail/courier/batch.ts";

it("resolves all calls of a batch together, as soon as it is complete", async () => {
  const { next } = createBatcher(() => 3);
  const resolved: number[] = [];
  const call = async (n: number) => {
    await next();
    resolved.push(n);
  };
  const first = [call(1), call(2)];
  await Promise.resolve();
  expect(resolved).toEqual([]);
  await Promise.all([...first, call(3)]);
  expect(resolved).toEqual([1, 2, 3]);
});

it("resolves an incomplete batch after a while", async () => {
  const { next } = createBatcher(() => 100);
  await Promise.all([next(), next()]);
  await next();
});

it("does not delay a single call that is enough", async () => {
  let isResolved = false;
  void createBatcher(() => 1)
    .next()
    .then(() => {
      isResolved = true;
    });
  await Promise.resolve();
  expect(isResolved).toBe(true);
});
