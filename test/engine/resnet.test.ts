/** CLIP's ResNet as a whole, on random models: what an embedding may depend on, what is refused, and what memory it takes. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { ResNetArchitecture } from '../../src/clip/architecture.ts';
import { type ImageEncoderSpec, loadImageEncoder } from '../../src/engine/image-encoder.ts';
import { resNetTensors } from '../../src/engine/resnet-shape.ts';
import { goldenModels } from './golden-models.ts';
import { inMemory } from './in-memory.ts';
import { randomModel, resNetSpec, withHeader } from './random-model.ts';
import { normal } from './workbench.ts';

const specs = resNetTensors(resNetSpec.architecture, resNetSpec);
const model = randomModel(specs);
const load = (file = model, spec: ImageEncoderSpec = resNetSpec) => loadImageEncoder(spec, inMemory(file));
const VALUES = 3 * resNetSpec.size ** 2;
const picture = (seed: number) => normal(VALUES, seed);

describe('an embedding', async () => {
  const images = await load();

  it('is a unit vector, different for different pictures', async () => {
    const [a, b] = [await images.encodeImage(picture(1)), await images.encodeImage(picture(2))];
    expect(Math.hypot(...a)).toBeCloseTo(1, 6);
    expect(a).not.toEqual(b);
  });

  it.each([1, 2, 5])(
    'is to the last bit what it is alone, after any other and of several, %i at once',
    async (count) => {
      const pictures = [picture(1), picture(2).map((x) => x * 1e6), picture(3), picture(1)];
      const expected = [];
      for (const pixels of pictures) expected.push(await (await load()).encodeImage(pixels));
      const several = await load(model, { ...resNetSpec, imagesAtOnce: count });
      expect(await several.encodeImages(pictures)).toEqual(expected);
      expect(await several.encodeImages(pictures.toReversed())).toEqual(expected.toReversed());
    },
  );

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('is never made of %f', async (x) => {
    const alone = await images.encodeImage(picture(1));
    for (let i = 0; i < VALUES; i += 67) {
      const pixels = picture(1);
      pixels[i] = x;
      await expect(images.encodeImage(pixels), `pixel ${i}`).rejects.toThrow(/not a finite number/);
    }
    expect(await images.encodeImage(picture(1))).toEqual(alone); // and nothing of it is left
  });

  it.each([1e30, 3e38, -3e38])('is never made of what overflows: pixels of %f', async (x) => {
    await expect(images.encodeImage(picture(1).fill(x))).rejects.toThrow(/not a finite number/);
  });

  it('needs as many pixels as the image has', () =>
    expect(images.encodeImage(new Float32Array(3))).rejects.toThrow(
      `an image has 3 values, this encoder takes ${VALUES}`,
    ));
});

describe('refuses', () => {
  const refused = (file: Uint8Array<ArrayBuffer>, message: string, spec?: ImageEncoderSpec) =>
    expect(load(file, spec)).rejects.toMatchObject({ name: 'EngineError', message: expect.stringContaining(message) });

  it.each(specs.map(({ name }) => name))('a file without %s, or with another shape of it', async (name) => {
    await refused(
      withHeader(model, (header) => delete header[name]),
      `tensor "${name}" is missing`,
    );
    await refused(
      withHeader(model, (header) => Object.assign(header[name], { shape: [7] })),
      `tensor "${name}" is [7], its architecture needs [`,
    );
  });

  it('a tensor of another kind of encoder, and a number that is none', async () => {
    const extra = { name: 'class', dtype: 'F32', shape: [8] } as const;
    await refused(randomModel([...specs, extra]), 'tensor "class" is not one of this architecture');
    const file = model.slice();
    new DataView(file.buffer, file.length - 4).setFloat32(0, Number.NaN, true);
    await refused(file, 'tensor "projection.bias" has NaN at 15');
  });

  it.each<[string, Partial<ImageEncoderSpec>, Partial<ResNetArchitecture>, string]>([
    ['bottlenecks', {}, { stages: [1, 1, 1e12, 1] }, "architecture's 1000000000003 blocks have 4352000000018768 bytes"],
    ['width', {}, { width: 1000 }, "architecture's 5 blocks have 1513000000 bytes of weights, the file "],
    ['inputs', {}, { width: 4096 }, 'a product has 294912 inputs, at most 131072 are taken'],
    ['pixels', { size: 1e5 }, {}, 'the model takes 9765626 tokens, attention at most 2048'],
    ['an embedding', { embeddingDim: 12 }, {}, 'the embedding has 12 dimensions, a product makes a multiple of 8'],
  ])('an architecture with %s that the file cannot have or the kernels not run', (_, spec, architecture, message) =>
    refused(model, message, { ...resNetSpec, ...spec, architecture: { ...resNetSpec.architecture, ...architecture } }),
  );

  it('a file for another image size, by its positions', () =>
    refused(model, 'tensor "positions" is [2,128], its architecture needs [5,128]', { ...resNetSpec, size: 64 }));
});

describe('memory is claimed before it is taken, and no more is taken', () => {
  afterEach(() => void vi.restoreAllMocks());

  it.each(goldenModels)('$name', async ({ loadImages, pictures }) => {
    const events: [string, number][] = [];
    const { grow } = WebAssembly.Memory.prototype;
    vi.spyOn(WebAssembly.Memory.prototype, 'grow').mockImplementation(function (this: WebAssembly.Memory, pages) {
      const before = grow.call(this, pages);
      events.push(['taken', this.buffer.byteLength]);
      return before;
    });
    const encoder = await loadImages({ claimMemory: (bytes) => void events.push(['claimed', bytes]) });
    for (const pixels of pictures) await encoder.encodeImage(pixels);
    expect(events).toEqual([
      ['claimed', events[0][1]],
      ['taken', events[0][1]],
    ]);
  });
});
