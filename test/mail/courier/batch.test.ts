import { expect, it } from "vitest";
import { createBatcher } from "../../../src/mail/courier/batch.ts";

it("lets all who have come go on together, as soon as enough have come", async () => {
  const { next } = createBatcher(() => 3);
  const gone: number[] = [];
  const come = async (n: number) => {
    await next();
    gone.push(n);
  };
  const first = [come(1), come(2)];
  await Promise.resolve();
  expect(gone).toEqual([]);
  await Promise.all([...first, come(3)]);
  expect(gone).toEqual([1, 2, 3]);
});

it("keeps nobody for ever where not enough come, now or later", async () => {
  const { next } = createBatcher(() => 100);
  await Promise.all([next(), next()]);
  await next();
});

it("holds up nobody who is alone", async () => {
  let isOn = false;
  void createBatcher(() => 1)
    .next()
    .then(() => {
      isOn = true;
    });
  await Promise.resolve();
  expect(isOn).toBe(true);
});
