/** Many in one product: an embedding is, to the last bit, what it is alone, whatever it is packed with. */
import { describe, expect, it } from 'vitest';
import type { ClipTextEncoder, Embedding, TokenIds } from '../../src/clip/encoders.ts';
import { loadImageEncoder } from '../../src/engine/image-encoder.ts';
import { imageTensors, textTensors } from '../../src/engine/tensors.ts';
import { loadTextEncoder, type TextEncoderSpec } from '../../src/engine/text-encoder.ts';
import { createRandom } from '../bench/random.ts';
import { inMemory } from './in-memory.ts';
import { imageSpec, randomModel, textSpec } from './random-model.ts';
import { normal } from './workbench.ts';

const random = createRandom(1);
const below = (n: number) => Math.floor(random() * n);
const shuffled = <T>(list: readonly T[]): T[] =>
  list
    .map((item) => [random(), item] as const)
    .sort(([a], [b]) => a - b)
    .map(([, item]) => item);

const END = textSpec.endOfText;
const ids = (...tokens: number[]) => Int32Array.from(tokens);

/** All lengths, ids of which few differ so that many begin alike, with and without an end, one of them everything there is. */
function randomTexts(count: number): TokenIds[] {
  return Array.from({ length: count }, () => {
    const text = Int32Array.from({ length: 1 + below(textSpec.contextLength) }, () => below(3));
    if (random() < 0.7) text[below(text.length)] = END;
    return text;
  });
}

const { architecture } = textSpec;
const SPECS: Record<string, TextEncoderSpec> = {
  'CLIP, at their own length': textSpec,
  'SigLIP, padded and bidirectional': {
    ...textSpec,
    padId: 1,
    architecture: { ...architecture, causal: false, pooling: 'last' },
  },
  'bidirectional at their own length': { ...textSpec, architecture: { ...architecture, causal: false } },
  'causal and padded': { ...textSpec, padId: 0, architecture: { ...architecture, pooling: 'last' } },
  'one layer': { ...textSpec, architecture: { ...architecture, layers: 1 } },
};

describe.each(Object.entries(SPECS))('texts: %s', (_, spec) => {
  const model = inMemory(randomModel(textTensors(spec.architecture, spec)));
  const load = (nextTurn = async () => {}) => loadTextEncoder(spec, model, nextTurn);

  /** What each text gives in an encoder that has encoded nothing before it. */
  async function alone(texts: readonly TokenIds[]): Promise<Embedding[]> {
    const embeddings: Embedding[] = [];
    for (const text of texts) embeddings.push(...(await (await load()).encodeTexts([text])));
    return embeddings;
  }

  it('in random lists, of one to many', async () => {
    const encoder = await load();
    const texts = randomTexts(60);
    const expected = await alone(texts);
    for (let run = 0; run < 40; run++) {
      const chosen = Array.from({ length: below(90) }, () => below(texts.length)); // some of them twice
      const embeddings = await encoder.encodeTexts(chosen.map((i) => texts[i]));
      expect(embeddings).toEqual(chosen.map((i) => expected[i]));
    }
  });

  it('all lengths at once, in any order', async () => {
    const encoder = await load();
    const texts = Array.from({ length: 11 }, (_, i) => ids(...Array(i).fill(7), END));
    const expected = await alone(texts);
    expect(await encoder.encodeTexts(texts)).toEqual(expected);
    expect(await encoder.encodeTexts(texts.toReversed())).toEqual(expected.toReversed());
  });

  it('one that another begins with, and the same text again and again', async () => {
    const encoder = await load();
    const texts = [ids(1, 2), ids(1), ids(1, 2, END), ids(1, 2, 3), ids(1, 2)];
    const expected = await alone(texts);
    expect(await encoder.encodeTexts(texts)).toEqual(expected);
    const again = Array<TokenIds>(300).fill(texts[3]);
    expect(await encoder.encodeTexts(again)).toEqual(Array<Embedding>(300).fill(expected[3]));
  });

  it('while others are encoded in between', async () => {
    const texts = randomTexts(200);
    const expected = await alone(texts);
    const others = randomTexts(20);
    let encoder: ClipTextEncoder | undefined;
    let turns = 0;
    encoder = await load(async () => {
      if (turns++ < 5) await encoder!.encodeTexts(others.slice(turns));
    });
    expect(await encoder.encodeTexts(texts)).toEqual(expected);
    expect(turns).toBeGreaterThan(2);
    const both = await Promise.all([encoder.encodeTexts(texts), encoder.encodeTexts(shuffled(texts))]);
    expect(both[0]).toEqual(expected);
  });

  it('after a list with a text that is refused', async () => {
    const encoder = await load();
    const texts = randomTexts(30);
    const expected = await alone(texts);
    await encoder.encodeTexts(texts);
    for (const wrong of [ids(), ids(0, 50), ids(...Array(12).fill(1))]) {
      await expect(encoder.encodeTexts([...texts.slice(7), wrong, texts[0]])).rejects.toThrow(/^(a text has|token)/);
      expect(await encoder.encodeTexts(texts)).toEqual(expected);
    }
  });

  it('none', async () => expect(await (await load()).encodeTexts([])).toEqual([]));
});

describe('what texts begin with alike is computed once, so that a group of 128 rows takes more of them', async () => {
  const model = inMemory(randomModel(textTensors(architecture, textSpec)));
  let turns = 0;
  const encoder = await loadTextEncoder(textSpec, model, async () => turns++);
  const turnsFor = async (texts: readonly TokenIds[]) => {
    turns = 0;
    await encoder.encodeTexts(texts);
    return turns;
  };
  /** 11 tokens, the last three of them the text's own */
  const prompts = (template: number, count: number) =>
    Array.from({ length: count }, (_, label) => ids(...Array(8).fill(template), label, 7, END));

  it('nothing alike', async () => {
    const texts = Array.from({ length: 25 }, (_, label) => ids(label, ...Array(9).fill(3), END));
    expect(await turnsFor(texts)).toBe(2); // 25 · 11 rows
  });

  it('several templates, in any order', async () => {
    expect(await turnsFor(shuffled([...prompts(1, 18), ...prompts(2, 18)]))).toBe(0); // 2 · (8 + 18 · 3) rows
  });

  it('with the last text of the list before', async () => {
    await encoder.encodeTexts([ids(5)]);
    expect(await turnsFor(prompts(1, 42))).toBe(1); // 8 + 42 · 3 rows
    expect(await turnsFor(prompts(1, 42))).toBe(0); // 42 · 3 rows
  });
});

describe.each(['cls', 'mean', 'attention'] as const)('images, pooling %s', (pooling) => {
  const spec = { ...imageSpec, architecture: { ...imageSpec.architecture, pooling } };
  const model = inMemory(randomModel(imageTensors(spec.architecture, spec)));
  const pictures = [1, 2, 3, 4, 5, 1, 2].map((seed) => normal(3 * 15 * 15, seed).map((x) => x * 10 ** (seed - 3)));

  it.each([1, 2, 3, 4])('%i at once', async (imagesAtOnce) => {
    const expected: Embedding[] = [];
    for (const picture of pictures) expected.push(await (await loadImageEncoder(spec, model)).encodeImage(picture));
    const encoder = await loadImageEncoder({ ...spec, imagesAtOnce }, model);
    expect(await encoder.encodeImages(pictures)).toEqual(expected);
    expect(await encoder.encodeImages(pictures.toReversed())).toEqual(expected.toReversed());
    expect(await encoder.encodeImage(pictures[3])).toEqual(expected[3]);
    expect(await encoder.encodeImages([])).toEqual([]);
  });

  it('after a list with an image that is refused', async () => {
    const encoder = await loadImageEncoder({ ...spec, imagesAtOnce: 4 }, model);
    const expected = await encoder.encodeImages(pictures);
    const noPicture = new Float32Array(3 * 15 * 15).fill(Number.NaN);
    await expect(encoder.encodeImages([...pictures, noPicture, ...pictures])).rejects.toThrow(/not a finite number/);
    await expect(encoder.encodeImages([...pictures, new Float32Array(3)])).rejects.toThrow('an image has 3 values');
    expect(await encoder.encodeImages(pictures)).toEqual(expected);
  });
});
