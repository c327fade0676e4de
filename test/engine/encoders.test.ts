/** The encoders as wholes, on random models: what an embedding may depend on, and what never becomes one. */
import { describe, expect, it } from 'vitest';
import type { VisionTransformerArchitecture } from '../../src/clip/architecture.ts';
import type { TokenIds } from '../../src/clip/encoders.ts';
import { loadImageEncoder } from '../../src/engine/image-encoder.ts';
import { imageTensors, textTensors } from '../../src/engine/tensors.ts';
import { loadTextEncoder } from '../../src/engine/text-encoder.ts';
import { inMemory } from './in-memory.ts';
import { imageSpec, randomModel, textSpec } from './random-model.ts';
import { normal } from './workbench.ts';

const textModel = inMemory(randomModel(textTensors(textSpec.architecture, textSpec)));
const nobodyElse = async () => {};
const texts = await loadTextEncoder(textSpec, textModel, nobodyElse);
const encode = async (ids: TokenIds, encoder = texts) => (await encoder.encodeTexts([ids]))[0];
const picture = (seed: number) => normal(3 * 15 * 15, seed);

describe.each<[string, Partial<VisionTransformerArchitecture>]>([
  ['the class token', {}],
  ['the mean of the patches', { pooling: 'mean' }],
  ['the mean, without a class token', { pooling: 'mean', classToken: false }],
  ['attention', { pooling: 'attention', classToken: false, projection: false }],
  ['attention, with a class token', { pooling: 'attention' }],
])('image encoder, pooled by %s', async (_, variant) => {
  const architecture = { ...imageSpec.architecture, ...variant };
  const spec = { ...imageSpec, architecture, embeddingDim: architecture.projection ? 16 : architecture.width };
  const images = await loadImageEncoder(spec, inMemory(randomModel(imageTensors(architecture, spec))));

  it('gives unit vectors, different for different pictures', async () => {
    const [a, b] = [await images.encodeImage(picture(1)), await images.encodeImage(picture(2))];
    expect(Math.hypot(...a)).toBeCloseTo(1, 6);
    expect(a).not.toEqual(b);
  });

  it('a picture’s does not depend on what was encoded before or is encoded meanwhile', async () => {
    const alone = await images.encodeImage(picture(1));
    const huge = picture(2).map((x) => x * 1e6);
    const [, again] = await Promise.all([huge, picture(1), picture(3)].map((p) => images.encodeImage(p)));
    expect(again).toEqual(alone);
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('refuses %f in any pixel', async (x) => {
    const alone = await images.encodeImage(picture(1));
    for (let i = 0; i < 3 * 15 * 15; i++) {
      const pixels = picture(1);
      pixels[i] = x;
      await expect(images.encodeImage(pixels), `pixel ${i}`).rejects.toThrow(/not a finite number/);
    }
    expect(await images.encodeImage(picture(1))).toEqual(alone); // and nothing of it is left
  });

  it.each([1e20, 1e30, 3e38])('refuses a pixel of %f: what is computed from it overflows', async (x) => {
    const alone = await images.encodeImage(picture(1));
    for (const i of [0, 337, 674]) {
      const pixels = picture(1);
      pixels[i] = x;
      await expect(images.encodeImage(pixels), `pixel ${i}`).rejects.toThrow(/not a finite number/);
    }
    await expect(images.encodeImage(picture(1).fill(x))).rejects.toThrow(/not a finite number/);
    expect(await images.encodeImage(picture(1))).toEqual(alone);
  });

  it('refuses another number of pixels', async () => {
    await expect(images.encodeImage(new Float32Array(3))).rejects.toThrow(
      'an image has 3 values, this encoder takes 675',
    );
  });
});

describe('text encoder', () => {
  const ids = (...tokens: number[]) => Int32Array.from(tokens);

  it('ends at the first end of text', async () => {
    const short = await encode(ids(48, 5, 6, 49));
    expect(await encode(ids(48, 5, 6, 49, 7, 49))).toEqual(short);
    expect(await encode(ids(48, 5, 7, 49))).not.toEqual(short);
  });

  it('what texts begin with alike is computed once, and nothing differs', async () => {
    const prompts = [
      [48, 5, 6, 7, 49],
      [48, 5, 6, 8, 9, 49],
      [48, 5, 49],
      [48, 5, 6, 7, 49],
      [48, 5, 6, 7, 49, 3],
      [7, 49],
    ];
    for (const prompt of prompts) {
      const fresh = await loadTextEncoder(textSpec, textModel, nobodyElse);
      expect(await encode(ids(...prompt)), `${prompt}`).toEqual(await encode(ids(...prompt), fresh));
    }
  });

  it('takes 1 to all the tokens of its context, in any order of lengths', async () => {
    const lengths = Array.from({ length: 11 }, (_, i) => ids(...Array(i).fill(7), 49));
    const upwards = [];
    for (const text of lengths) upwards.push(await encode(text));
    const downwards = [];
    for (const text of lengths.toReversed()) downwards.push(await encode(text));
    expect(downwards.reverse()).toEqual(upwards);
  });

  it('pools the end of text where it is if all tokens see all', async () => {
    const spec = { ...textSpec, architecture: { ...textSpec.architecture, causal: false } };
    const bidirectional = await loadTextEncoder(spec, textModel, nobodyElse);
    const short = await encode(ids(48, 5, 6, 49), bidirectional);
    expect(await encode(ids(48, 5, 6, 49, 7, 8), bidirectional)).not.toEqual(short);
  });

  describe('that sees the padding', async () => {
    const architecture = { ...textSpec.architecture, causal: false, pooling: 'last' as const };
    const padded = await loadTextEncoder({ ...textSpec, architecture, padId: 7 }, textModel, nobodyElse);

    it('fills texts up, to be pooled at their last token', async () => {
      const short = await encode(ids(5, 6, 49), padded);
      expect(await encode(ids(5, 6, 49, ...Array(8).fill(7)), padded)).toEqual(short);
      expect(await encode(ids(5, 6, 49, 7, 7, 8), padded)).not.toEqual(short);
    });

    it('does not take more tokens than its context has', async () => {
      await expect(encode(ids(...Array(12).fill(1)), padded)).rejects.toThrow('this encoder takes 1 to 11');
    });

    it('embeds a text alike after any other', async () => {
      const alone = await encode(ids(5, 6, 49), padded);
      await encode(ids(...Array(11).fill(9)), padded);
      expect(await encode(ids(5, 6, 49), padded)).toEqual(alone);
    });
  });

  it('pools the first end of text also where texts are filled up', async () => {
    const architecture = { ...textSpec.architecture, causal: false };
    const padded = await loadTextEncoder({ ...textSpec, architecture, padId: 0 }, textModel, nobodyElse);
    const unpadded = await loadTextEncoder({ ...textSpec, architecture }, textModel, nobodyElse);
    const whole = ids(48, 5, 49, 0, 0, 0, 0, 0, 0, 0, 0);
    expect(await encode(ids(48, 5, 49), padded)).toEqual(await encode(whole, unpadded));
  });

  it.each([
    [ids(), 'a text has 0 tokens, this encoder takes 1 to 11'],
    [ids(...Array(12).fill(1)), 'a text has 12 tokens, this encoder takes 1 to 11'],
    [ids(1, 50, 49), 'token 50 is not below 50'],
    [ids(-1, 49), 'token -1 is not below 50'],
  ])('refuses %s', async (tokens, message) => {
    await expect(encode(tokens)).rejects.toThrow(message);
  });
});
