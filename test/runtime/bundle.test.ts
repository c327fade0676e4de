import { expect, it } from 'vitest';
import { createOpenFile, type OpenFile, readBundleFile, readBundleInto, readFile } from '../../src/runtime/bundle.ts';
import { sha256 } from '../../src/runtime/sha256.ts';

const files: Record<string, Uint8Array<ArrayBuffer>> = {
  'tiny/a': Uint8Array.from([1, 2, 3]),
  'tiny/b': Uint8Array.from([4, 5]),
};
const openFile = async (path: string) => (path in files ? new Response(files[path]).body : null);

const entry = async (path: string) => {
  const bytes = files[`tiny/${path}`];
  return { path, bytes: bytes.length, sha256: await sha256(bytes) };
};

it('the sha256 of the standard’s example', async () => {
  expect(await sha256(new Uint8Array())).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
});

it('joins the parts of a file in order', async () => {
  const parts = [await entry('b'), await entry('a')];
  expect(Array.from(await readBundleFile(openFile, 'tiny', parts))).toEqual([4, 5, 1, 2, 3]);
  expect(Array.from(await readBundleFile(openFile, 'tiny', parts.slice(0, 1)))).toEqual([4, 5]);
});

it('a file that comes in chunks of any lengths', async () => {
  const parts = [await entry('a'), await entry('b')];
  for (let cut = 0; cut <= 3; cut++) {
    const inTwo: OpenFile = async (path) => {
      const chunks = [files[path].slice(0, cut), files[path].slice(cut)].filter(({ length }) => length > 0);
      return new ReadableStream({
        type: 'bytes', // as those of assets and of R2 are
        pull(controller) {
          const chunk = chunks.shift();
          if (chunk) return controller.enqueue(chunk);
          controller.close();
          controller.byobRequest?.respond(0);
        },
      });
    };
    const target = new Uint8Array(7);
    await readBundleInto(inTwo, { folder: 'tiny', parts }, target.subarray(1, 6));
    expect(Array.from(target)).toEqual([0, 1, 2, 3, 4, 5, 0]);
  }
});

it.each([
  ['is missing', { path: 'c', bytes: 1, sha256: '' }],
  ['has 3 bytes, its manifest says 4', { path: 'a', bytes: 4, sha256: '' }],
  ['has more bytes than the 2 of its manifest', { path: 'a', bytes: 2, sha256: '' }],
  ['has not the sha256 of its manifest', { path: 'a', bytes: 3, sha256: '0'.repeat(64) }],
])('a part that %s', async (what, part) => {
  const read = readBundleFile(openFile, 'tiny', [part]);
  await expect(read).rejects.toMatchObject({ code: 'model_unavailable', message: expect.stringContaining(what) });
});

it('looks in the assets first, then in the bucket', async () => {
  const assets = {
    fetch: async (url: RequestInfo | URL) =>
      String(url) === 'https://assets/models/x' ? new Response('asset') : new Response('none', { status: 404 }),
  };
  const bucket = { get: async (key: string) => (key === 'models/y' ? new Response('object') : null) };
  const open = createOpenFile(assets, bucket);
  const text = async (path: string) => new TextDecoder().decode((await readFile(open, path)) ?? undefined);
  expect(await text('x')).toBe('asset');
  expect(await text('y')).toBe('object');
  expect(await readFile(open, 'z')).toBeNull();
  expect(await createOpenFile(assets)('y')).toBeNull();
});

it('looks first where a bundle says that it lies', async () => {
  const asked: string[] = [];
  const assets = {
    fetch: async () => {
      asked.push('assets');
      return new Response('asset');
    },
  };
  const bucket = {
    get: async (key: string) => {
      asked.push('bucket');
      return key === 'models/y' ? new Response('object') : null;
    },
  };
  const open = createOpenFile(assets, bucket);
  expect(await new Response(await open('y', 'r2')).text()).toBe('object');
  expect(asked).toEqual(['bucket']);
  expect(await new Response(await open('x', 'r2')).text()).toBe('asset');
  expect(await new Response(await open('y', 'assets')).text()).toBe('asset');
  expect(asked).toEqual(['bucket', 'bucket', 'assets', 'assets']);
});
