import { expect, it } from "vitest";
import { createGatherer } from "../../../src/mail/courier/gather.ts";

it("lets all who have come go on together, as soon as enough have come", async () => {
  const { gather } = createGatherer(() => 3);
  const gone: number[] = [];
  const come = async (n: number) => {
    await gather();
    gone.push(n);
  };
  const first = [come(1), come(2)];
  await Promise.resolve();
  expect(gone).toEqual([]);
  await Promise.all([...first, come(3)]);
  expect(gone).toEqual([1, 2, 3]);
});

it("keeps nobody for ever where not enough come, now or later", async () => {
  const { gather } = createGatherer(() => 100);
  await Promise.all([gather(), gather()]);
  await gather();
});

it("holds up nobody who is alone", async () => {
  let isOn = false;
  void createGatherer(() => 1)
    .gather()
    .then(() => {
      isOn = true;
    });
  await Promise.resolve();
  expect(isOn).toBe(true);
});
