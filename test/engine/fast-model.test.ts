/** A model of fast products as `clip-export` writes it, and what of it or of its manifest is refused when it is altered. */
import { describe, expect, it } from 'vitest';
import type { VisionTransformerArchitecture } from '../../src/clip/architecture.ts';
import type { Embedding } from '../../src/clip/encoders.ts';
import { readSafeTensorsHeader } from '../../src/clip/safetensors.ts';
import type { KernelBuild } from '../../src/engine/kernels.ts';
import { imageTensors } from '../../src/engine/tensors.ts';
import { createRandom } from '../bench/random.ts';
import { fastLinears, goldenModels } from './golden-models.ts';
import { type Entry, randomModel, withHeader } from './random-model.ts';

const { imageSpec, imageFile, loadImages, pictures } = goldenModels.find(({ name }) => name === 'fast')!;
const architecture = imageSpec.architecture as VisionTransformerArchitecture;

/** Where a tensor is in the file, as a view of 4 or 1 bytes an element. */
function tensor(file: Uint8Array<ArrayBuffer>, name: string) {
  const { header, start } = readSafeTensorsHeader(file);
  const { dtype, data_offsets: offsets } = header[name] as Entry;
  const Values = { I8: Int8Array, I32: Int32Array, F32: Float32Array }[dtype]!;
  return new Values(file.buffer, start + offsets[0], (offsets[1] - offsets[0]) / Values.BYTES_PER_ELEMENT);
}

function changed(name: string, at: number, value: number): Uint8Array<ArrayBuffer> {
  const file = imageFile.slice();
  tensor(file, name)[at] = value;
  return file;
}

const refused = (loading: Promise<unknown>, message: string) =>
  expect(loading).rejects.toMatchObject({ name: 'EngineError', message: expect.stringContaining(message) });

const embeddingsOf = async (file: Uint8Array<ArrayBuffer>) => (await loadImages({}, file)).encodeImage(pictures[0]);

describe('refuses', () => {
  it.each(architecture.fast)('a manifest that calls %s exact', (name) => {
    const fast = architecture.fast.filter((other) => other !== name);
    return refused(loadImages({ architecture: { ...architecture, fast } }), `tensor "${name}`);
  });

  it.each(architecture.fast)('a manifest that calls %s fast, with a file of exact ones', async (name) => {
    const exact: VisionTransformerArchitecture = { ...architecture, fast: [] };
    const file = randomModel(imageTensors(exact, imageSpec));
    await expect(loadImages({ architecture: exact }, file)).resolves.toBeDefined();
    await refused(loadImages({ architecture: { ...exact, fast: [name] } }, file), `tensor "${name}.`);
  });

  it.each([0, 1, -1, 2 ** 31 - 1, -(2 ** 31)])('sums that start with %i where their weights need another', (start) => {
    const name = 'layers.1.fc1.start';
    const needed = tensor(imageFile, name)[9];
    return refused(
      loadImages({}, changed(name, 9, start)),
      `"${name}" has ${start} at [0,9], its weights need ${needed}`,
    );
  });

  it('sums of a second group that start elsewhere, and those of inputs that are never negative', async () => {
    expect(architecture.mlp).toBe(160); // 128 and 32
    const name = 'layers.0.fc2.start';
    await refused(
      loadImages({}, changed(name, architecture.width + 5, 64)),
      `"${name}" has 64 at [1,5], its weights need 0`,
    );
  });

  it.each([127, -127])('weights of %i whose products would overflow int16', async (weight) => {
    const name = 'layers.1.qkv.weight';
    const file = imageFile.slice();
    // output 8 · 2 + 3, inputs 8 + {2, 3, 6, 7}
    for (const at of [2, 3, 34, 35]) tensor(file, name)[(2 * architecture.width + 8) * 8 + 3 * 4 + at] = weight;
    await refused(
      loadImages({}, file),
      `"${name}" has weights [${Array(4).fill(weight)}] of output 19, which sum to 508`,
    );
  });

  it('a negative factor: the codes are of numbers that are none', () =>
    refused(loadImages({}, changed('layers.0.fc2.factor', 7, -0.5)), '"layers.0.fc2.factor" has -0.5 at 7, below 0'));

  it.each([Number.NaN, Number.POSITIVE_INFINITY])('a factor of %f', (x) =>
    refused(loadImages({}, changed('layers.0.fc2.factor', 7, x)), `"layers.0.fc2.factor" has ${Math.fround(x)} at 7`),
  );

  it.each(['positions', 'layers.0.qkv.scale', 'layers.1.fc2.bias', 'layers.1.norm2.weight', 'projection.scale'])(
    'a NaN or an infinity in %s',
    async (name) => {
      await refused(loadImages({}, changed(name, 3, Number.NaN)), `"${name}" has NaN at 3`);
      await refused(loadImages({}, changed(name, 3, Number.NEGATIVE_INFINITY)), `"${name}" has -Infinity at 3`);
    },
  );

  it('sums that start at no multiple of 4 bytes', () => {
    const file = withHeader(imageFile, (header) => {
      const [begin, end] = header['layers.0.qkv.start'].data_offsets;
      header['layers.0.qkv.start'].data_offsets = [begin + 2, end + 2];
    });
    return refused(loadImages({}, file), '"layers.0.qkv.start" begins at byte');
  });

  const names = Object.keys(readSafeTensorsHeader(imageFile).header).filter((name) => !/^(__|pad)/.test(name));

  it.each(names)('a file in which %s is left out, renamed, of another dtype or shape', async (name) => {
    const missing =
      /is missing$|begins at byte \d+, the one before it ends at \d+$|its tensors end at byte \d+ of \d+$/;
    const load = (change: (header: Record<string, Entry>) => void) => loadImages({}, withHeader(imageFile, change));
    const rename = (header: Record<string, Entry>) => {
      header[`${name.slice(0, -1)}_`] = header[name];
      delete header[name];
    };
    await expect(load((header) => delete header[name])).rejects.toThrow(missing);
    await expect(load(rename)).rejects.toThrow(/is missing$|is not one of this architecture$/);
    await refused(
      load((header) => Object.assign(header[name], { dtype: 'U8' })),
      `"${name}" is U8, not`,
    );
    await refused(
      load((header) => Object.assign(header[name], { shape: [0] })),
      `"${name}" is [0], its architecture`,
    );
  });

  it('a file that ends anywhere', async () => {
    const { header, start } = readSafeTensorsHeader(imageFile);
    const { __metadata__, ...tensors } = header as Record<string, Entry>;
    const ends = Object.values(tensors).flatMap(({ data_offsets: [, end] }) => [start + end - 1, start + end]);
    for (const length of [0, 7, 8, 9, start - 1, start, ...ends].filter((length) => length < imageFile.length)) {
      await expect(loadImages({}, imageFile.slice(0, length)), `${length}`).rejects.toThrow(
        expect.objectContaining({ name: 'EngineError' }),
      );
    }
  });
});

it('a header of which one byte is another is refused, or changes nothing', async () => {
  const expected = await embeddingsOf(imageFile);
  const { start } = readSafeTensorsHeader(imageFile);
  const random = createRandom(1);
  let accepted = 0;
  for (let run = 0; run < 1000; run++) {
    const file = imageFile.slice();
    const at = Math.floor(random() * start);
    file[at] = random() < 0.5 ? file[at] ^ (1 << Math.floor(random() * 8)) : 0x30 + Math.floor(random() * 10);
    try {
      expect(await embeddingsOf(file), `byte ${at} is ${file[at]}`).toEqual(expected);
      accepted++;
    } catch (error) {
      if ((error as Error).name !== 'EngineError') throw error;
    }
  }
  expect(accepted).toBeLessThan(200); // padding's names, the encoder's name, digits that are the same
});

describe.each(goldenModels.filter(({ imageSpec }) => fastLinears(imageSpec.architecture).length > 0))(
  'model $name: an embedding is to the last bit what it is alone',
  ({ loadImages, loadTexts, pictures, ids }) => {
    it('images at once', async () => {
      const alone = await loadImages();
      const expected: Embedding[] = [];
      for (const picture of pictures) expected.push(await alone.encodeImage(picture));
      for (const imagesAtOnce of [2, 3, 5]) {
        const together = await loadImages({ imagesAtOnce });
        expect(await together.encodeImages(pictures)).toEqual(expected);
        expect(await together.encodeImages(pictures.toReversed())).toEqual(expected.toReversed());
      }
    });

    it('texts in lists', async () => {
      const expected: Embedding[] = [];
      for (const text of ids) expected.push(...(await (await loadTexts()).encodeTexts([text])));
      const together = await loadTexts();
      for (const first of ids.keys()) {
        expect(await together.encodeTexts(ids.slice(first))).toEqual(expected.slice(first));
        expect(await together.encodeTexts(ids.slice(first).toReversed())).toEqual(expected.slice(first).toReversed());
      }
    });
  },
);

describe.each<KernelBuild>(['relaxed', 'plain'])(
  'pixels that are no numbers never reach an answer, build %s',
  (build) => {
    it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 1e20, 1e38, -3e38])('%f', async (x) => {
      const encoder = await loadImages({ build });
      const alone = await encoder.encodeImage(pictures[0]);
      for (let i = 0; i < pictures[0].length; i += 7) {
        const pixels = pictures[0].slice();
        pixels[i] = x;
        await expect(encoder.encodeImage(pixels), `pixel ${i}`).rejects.toThrow(/not a finite number/);
      }
      expect(await encoder.encodeImage(pictures[0])).toEqual(alone);
    });
  },
);
