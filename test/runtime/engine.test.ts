/** From a bundle's parts into the engine's memory. */
import { describe, expect, it } from 'vitest';
import type { BundleFile } from '../../src/clip/bundle-file.ts';
import { imageTensors } from '../../src/engine/tensors.ts';
import { createEngineImageEncoder } from '../../src/runtime/engine.ts';
import { createIsolateMemory, type IsolateMemory } from '../../src/runtime/isolate-memory.ts';
import { sha256 } from '../../src/runtime/sha256.ts';
import { imageSpec, randomModel } from '../engine/random-model.ts';
import { normal } from '../engine/workbench.ts';

const whole = randomModel(imageTensors(imageSpec.architecture, imageSpec));
const preprocess = { resize: 'shortest', interpolation: 'bicubic', mean: [0, 0, 0], std: [1, 1, 1] } as const;

/** The file in parts of the given lengths. */
function load(file: Uint8Array<ArrayBuffer>, lengths: number[], memory?: IsolateMemory) {
  const parts = new Map<string, Uint8Array<ArrayBuffer>>();
  let at = 0;
  for (const [i, length] of lengths.entries()) {
    parts.set(`tiny/part-${i}`, file.slice(at, at + length));
    at += length;
  }
  const fileOf = async ([name, bytes]: [string, Uint8Array<ArrayBuffer>]): Promise<BundleFile> => ({
    path: name.slice('tiny/'.length),
    bytes: bytes.length,
    sha256: await sha256(bytes),
  });
  return Promise.all(Array.from(parts, fileOf)).then((files) => {
    const image = { ...imageSpec, ...preprocess, runtime: 'engine' as const, files };
    const openFile = async (path: string) => new Response(parts.get(path)).body;
    return createEngineImageEncoder(openFile, { id: 'tiny', embeddingDim: 16, image }, memory);
  });
}

it('a file split anywhere gives the same encoder', async () => {
  const pixels = normal(3 * 15 * 15, 1);
  const expected = await (await load(whole, [whole.length])).encodeImage(pixels);
  for (const first of [1, 9, 5000, whole.length - 1]) {
    const encoder = await load(whole, [first, whole.length - first]);
    expect(await encoder.encodeImage(pixels)).toEqual(expected);
  }
});

it('a file that the engine refuses is a model that is not available', async () => {
  await expect(load(whole.slice(0, -4), [whole.length - 4])).rejects.toMatchObject({
    code: 'model_unavailable',
    message: expect.stringMatching(/^The engine cannot load model "tiny": tensor "projection\.bias" ends at byte/),
  });
});

describe('a model takes of the memory for all encoders', () => {
  const MEBI = 2 ** 20;
  /** @param left bytes that another encoder leaves */
  const memoryWith = (left: number) => {
    const memory = createIsolateMemory(MEBI);
    memory.claim('text encoder of "other"', MEBI - left);
    return memory;
  };

  it('once, however often it is loaded', async () => {
    const memory = memoryWith(65536); // all that it takes
    await expect(load(whole, [whole.length], memory)).resolves.toBeDefined();
    await expect(load(whole, [whole.length], memory)).resolves.toBeDefined();
  });

  it('and is refused where there is too little, with the numbers', () =>
    expect(load(whole, [whole.length], memoryWith(65535))).rejects.toMatchObject({
      code: 'model_unavailable',
      message: expect.stringMatching(
        /^The image encoder of "tiny" takes 0\.\d MiB of memory; an isolate has 1\.0 MiB for encoders, \d\.\d MiB of it taken\.$/,
      ),
    }));

  it('nothing if it is not loaded after all', async () => {
    const memory = memoryWith(65536);
    await expect(load(whole.slice(0, -4), [whole.length - 4], memory)).rejects.toThrow(/ends at byte/);
    expect(() => memory.claim('image encoder of "other"', 65536)).not.toThrow();
  });
});
