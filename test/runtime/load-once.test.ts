import { expect, it } from 'vitest';
import { loadOnce } from '../../src/runtime/load-once.ts';

const nothing = () => {};

it('loads once for all who ask, at the same time and later', async () => {
  let loads = 0;
  const get = loadOnce(async () => ++loads, nothing);
  expect(await Promise.all([get(), get()])).toEqual([1, 1]);
  expect(await get()).toBe(1);
});

it('drops a failure: all who waited see it, the next one loads again', async () => {
  let loads = 0;
  const load = async () => {
    if (++loads === 1) throw new Error('no luck');
    return loads;
  };
  const get = loadOnce(load, nothing);
  const outcomes = await Promise.allSettled([get(), get()]);
  expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await get()).toBe(2);
});

it('does not wait for ever for a load whose request has died', async () => {
  let loads = 0;
  const get = loadOnce(() => (++loads === 1 ? new Promise<number>(nothing) : Promise.resolve(loads)), nothing, 30);
  await expect(get()).rejects.toMatchObject({ code: 'model_unavailable' });
  expect(await get()).toBe(2);
});

it('hands the load to keepAlive, which never rejects', async () => {
  const kept: Promise<unknown>[] = [];
  const get = loadOnce(
    async () => {
      throw new Error('no luck');
    },
    (work) => kept.push(work),
  );
  await expect(get()).rejects.toThrow('no luck');
  await expect(Promise.all(kept)).resolves.toEqual([undefined]);
});
