import { describe, expect, it } from 'vitest';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';
import { createIsolateMemory, ENCODER_BYTES } from '../../src/runtime/isolate-memory.ts';
import { createModelStore } from '../../src/runtime/model-store.ts';
import { goldenJson, readBytes } from '../golden.ts';

const MEBI = 1024 * 1024;
const measure = <T>(_: string, step: () => T): T => step();

it('is as much as clip-export refuses a bundle by', () => {
  expect(goldenJson<{ isolateBytes: number }>('engine-memory').isolateBytes).toBe(ENCODER_BYTES);
  const memory = createIsolateMemory();
  expect(() => memory.claim('a', ENCODER_BYTES + 1)).toThrow(/an isolate has 112\.0 MiB/);
  expect(() => memory.claim('a', ENCODER_BYTES)).not.toThrow();
});

it('keeps a share for an encoder until that is there', () => {
  const memory = createIsolateMemory(10 * MEBI);
  const others = memory.keeping({ encoder: 'image', bytes: 6 * MEBI });
  expect(() => others.claim('text', 5 * MEBI)).toThrow(/0\.0 MiB of it taken and 6\.0 MiB kept for the image\.$/);
  others.claim('text', 4 * MEBI);
  memory.claim('image', 6 * MEBI);
  expect(() => others.claim('text', 4 * MEBI)).not.toThrow();
  expect(() => others.claim('text', 5 * MEBI)).toThrow(/6\.0 MiB of it taken\.$/);
});

describe('a model whose encoders do not fit both', () => {
  const openFile = async (path: string) => new Response(readBytes(`public/models/${path}`)).body;
  const models = createModelStore({
    ids: ['tiny-64'],
    openFile,
    decodeImage: createImageDecoder(),
    keepAlive: () => {},
    encoderBytes: 20 * MEBI, // the text encoder alone takes 17
  });
  it('refuses texts, though they come first, and still takes pictures', async () => {
    const model = await models.get();
    await expect(model.embedTexts(['a cat'], measure)).rejects.toMatchObject({
      code: 'model_unavailable',
      message: expect.stringMatching(/^The text encoder of "tiny-64" takes .* kept for the image encoder of "tiny-64"/),
    });
    await expect(model.embedImage(readBytes('samples/chelsea.png'), measure)).resolves.toHaveLength(256);
  });
});

it('has back what a tokenizer took whose text encoder does not fit', async () => {
  const models = createModelStore({
    ids: ['siglip'],
    openFile: async (path) => new Response(readBytes(`test/fixtures/golden/models/${path}`)).body,
    decodeImage: createImageDecoder(),
    keepAlive: () => {},
    encoderBytes: 450 * 1024, // the tokenizer takes 417 KiB, and each of the encoders more than 60
  });
  const model = await models.get();
  await expect(model.embedTexts(['a cat'], measure)).rejects.toThrow(/^The text encoder of "siglip" takes/);
  await expect(model.embedImage(readBytes('samples/chelsea.png'), measure)).resolves.toBeDefined();
});
