import { expect, it } from 'vitest';
import { createReadFile, readBundleFile } from '../../src/runtime/bundle.ts';
import { sha256 } from '../../src/runtime/sha256.ts';

const files: Record<string, Uint8Array<ArrayBuffer>> = {
  'tiny/a': Uint8Array.from([1, 2, 3]),
  'tiny/b': Uint8Array.from([4, 5]),
};
const readFile = async (path: string) => files[path]?.slice().buffer ?? null;

const entry = async (path: string) => {
  const bytes = files[`tiny/${path}`];
  return { path, bytes: bytes.length, sha256: await sha256(bytes) };
};

it('the sha256 of the standard’s example', async () => {
  expect(await sha256(new Uint8Array())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});

it('joins the parts of a file in order', async () => {
  const parts = [await entry('b'), await entry('a')];
  expect(Array.from(await readBundleFile(readFile, 'tiny', parts))).toEqual([4, 5, 1, 2, 3]);
  expect(Array.from(await readBundleFile(readFile, 'tiny', parts.slice(0, 1)))).toEqual([4, 5]);
});

it.each([
  ['is missing', { path: 'c', bytes: 1, sha256: '' }],
  ['has 3 bytes, its manifest says 4', { path: 'a', bytes: 4, sha256: '' }],
  ['has not the sha256 of its manifest', { path: 'a', bytes: 3, sha256: '0'.repeat(64) }],
])('a part that %s', async (what, part) => {
  const read = readBundleFile(readFile, 'tiny', [part]);
  await expect(read).rejects.toMatchObject({ code: 'model_unavailable', message: expect.stringContaining(what) });
});

it('looks in the assets first, then in the bucket', async () => {
  const assets = {
    fetch: async (url: RequestInfo | URL) =>
      String(url) === 'https://assets/models/x' ? new Response('asset') : new Response('none', { status: 404 }),
  };
  const bucket = { get: async (key: string) => (key === 'models/y' ? new Response('object') : null) };
  const text = async (read: Promise<ArrayBuffer | null>) => new TextDecoder().decode((await read) ?? undefined);
  const read = createReadFile(assets, bucket);
  expect(await text(read('x'))).toBe('asset');
  expect(await text(read('y'))).toBe('object');
  expect(await read('z')).toBeNull();
  expect(await createReadFile(assets)('y')).toBeNull();
});
