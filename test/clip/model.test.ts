/** What a model asks its text encoder for. */
import { beforeEach, expect, it } from 'vitest';
import type { TokenIds } from '../../src/clip/encoders.ts';
import { createModel, type Measure } from '../../src/clip/model.ts';
import { parseModelManifest } from '../../src/clip/model-manifest.ts';
import { readJson } from '../golden.ts';

const manifest = parseModelManifest(readJson('public/models/tiny-64/model.json'));
const measure: Measure = (_, step) => step();

/** The ids of each call. */
let calls: number[][][] = [];

beforeEach(() => {
  calls = [];
});

/** One token a character; the embedding is the sum of the ids. Refuses "?". */
function createRecordingModel(textCacheBytes = 1e6) {
  const encoder = {
    async encodeTexts(texts: readonly TokenIds[]) {
      calls.push(texts.map((ids) => Array.from(ids)));
      if (texts.some((ids) => ids.includes(63))) throw new Error('refused');
      return texts.map((ids) => Float32Array.of(ids.reduce((a, b) => a + b)));
    },
  };
  const encode = (text: string) => ({
    tokenIds: Int32Array.from(text, (char) => char.charCodeAt(0)),
    truncated: text.length > 3,
  });
  return createModel(manifest, {
    decodeImage: async () => {},
    imageEncoder: () => Promise.reject(new Error('no image is encoded here')),
    textEncoder: async () => ({ encoder, tokenizer: { encode } }),
    textCacheBytes,
  });
}

it('asks for all unknown texts in one call, for each once, and answers in order', async () => {
  const model = createRecordingModel();
  await model.embedTexts(['b'], measure);
  const found = await model.embedTexts(['a', 'b', 'abcd', 'a'], measure);
  expect(calls).toEqual([[[98]], [[97], [97, 98, 99, 100]]]);
  expect(found).toEqual([
    { embedding: Float32Array.of(97), tokens: 1, truncated: false },
    { embedding: Float32Array.of(98), tokens: 1, truncated: false },
    { embedding: Float32Array.of(394), tokens: 4, truncated: true },
    { embedding: Float32Array.of(97), tokens: 1, truncated: false },
  ]);
});

it('asks for nothing that it remembers', async () => {
  const model = createRecordingModel();
  const first = await model.embedTexts(['a', 'b'], measure);
  expect(await model.embedTexts(['b', 'a'], measure)).toEqual(first.toReversed());
  expect(await model.embedTexts([], measure)).toEqual([]);
  expect(calls.length).toBe(1);
});

it('answers though it can remember only some of the texts, or none', async () => {
  for (const bytes of [0, 4000]) {
    const texts = Array.from({ length: 26 }, (_, i) => String.fromCharCode(97 + i));
    const found = await createRecordingModel(bytes).embedTexts(texts, measure);
    expect(found.map(({ embedding }) => embedding[0])).toEqual(texts.map((text) => text.charCodeAt(0)));
  }
});

it('remembers nothing of a list that was refused', async () => {
  const model = createRecordingModel();
  await expect(model.embedTexts(['a', '?'], measure)).rejects.toThrow('refused');
  await model.embedTexts(['a'], measure);
  expect(calls[1]).toEqual([[97]]);
});
