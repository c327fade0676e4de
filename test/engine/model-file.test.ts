/** A model file that is not what it should be is refused when it is loaded. */
import { describe, expect, it } from 'vitest';
import type { VisionTransformerArchitecture } from '../../src/clip/architecture.ts';
import { type ImageEncoderSpec, loadImageEncoder } from '../../src/engine/image-encoder.ts';
import { imageTensors, type TensorSpec } from '../../src/engine/tensors.ts';
import { inMemory } from './in-memory.ts';
import { type Header, imageSpec, randomModel, siglipSpec } from './random-model.ts';

const specs = imageTensors(imageSpec.architecture, imageSpec);
const load = (file: Uint8Array, spec: ImageEncoderSpec = imageSpec) => loadImageEncoder(spec, inMemory(file));

const refused = (file: Uint8Array, message: string, spec?: ImageEncoderSpec) =>
  expect(load(file, spec)).rejects.toMatchObject({ name: 'EngineError', message: expect.stringContaining(message) });

/** The tensor's entry replaced in part. */
const entry =
  (name: string, changes: object) =>
  (header: Header): void => {
    Object.assign(header[name], changes);
  };

const spanOf = (header: Header, name: string) => (header[name] as { data_offsets: number[] }).data_offsets;

const without = (name: string): TensorSpec[] => specs.filter((spec) => spec.name !== name);
const siglip = imageTensors(siglipSpec.architecture, siglipSpec);

it('loads what is as it should be', async () => {
  await expect(load(randomModel(specs))).resolves.toBeDefined();
});

it('loads what has neither class token nor projection', async () => {
  expect(siglip.map(({ name }) => name)).not.toContain('class');
  expect(siglip.map(({ name }) => name)).not.toContain('projection.weight');
  await expect(load(randomModel(siglip), siglipSpec)).resolves.toBeDefined();
});

it('takes a file without the biases that not all families have, and with padding', async () => {
  await expect(load(randomModel(specs.filter(({ optional }) => !optional)))).resolves.toBeDefined();
  const padded = randomModel(specs, (header) => {
    header['pad.0'] = { dtype: 'U8', shape: [0], data_offsets: [0, 0] };
  });
  await expect(load(padded)).resolves.toBeDefined();
});

describe('refuses', () => {
  it.each(specs.filter(({ optional }) => !optional).map(({ name }) => name))('a file without %s', (name) =>
    refused(randomModel(without(name)), `tensor "${name}" is missing`),
  );

  it.each(siglip.map(({ name }) => name).filter((name) => name.startsWith('pool.')))(
    'a file without %s, for a model that pools by attention',
    (name) =>
      refused(randomModel(siglip.filter((spec) => spec.name !== name)), `tensor "${name}" is missing`, siglipSpec),
  );

  it('a class token, a projection or an attention pool where the architecture has none', async () => {
    const { architecture } = siglipSpec;
    const extra = (changes: object) => imageTensors({ ...architecture, ...changes }, siglipSpec);
    await refused(randomModel(extra({ classToken: true })), '"positions" is [10,24], its architecture', siglipSpec);
    await refused(randomModel(extra({ projection: true })), '"projection.weight" is not one of', siglipSpec);
    const mean = { ...siglipSpec, architecture: { ...architecture, pooling: 'mean' as const } };
    await refused(randomModel(siglip), 'tensor "pool.query" is not one of this architecture', mean);
  });

  it('an attention pool of another width, with the two shapes', () =>
    refused(
      randomModel(siglip.map((spec) => (spec.name === 'pool.query' ? { ...spec, shape: [32] } : spec))),
      '"pool.query" is [32], its architecture needs [24]',
      siglipSpec,
    ));

  it('an embedding of another width than the model’s, where there is no projection', () =>
    refused(randomModel(siglip), 'the embedding has 16 dimensions, the width is 24, and there is no projection', {
      ...siglipSpec,
      embeddingDim: 16,
    }));

  it('a tensor too many', () =>
    refused(
      randomModel([...specs, { name: 'layers.2.out.bias', dtype: 'F32', shape: [24] }]),
      'tensor "layers.2.out.bias" is not one of this architecture',
    ));

  it.each<[string, (header: Header) => void, string]>([
    ['a wrong dtype', entry('layers.0.fc1.weight', { dtype: 'U8' }), '"layers.0.fc1.weight" is U8, not I8'],
    ['float16', entry('class', { dtype: 'F16' }), '"class" is F16, not F32'],
    ['a wrong shape', entry('positions', { shape: [9, 24] }), '"positions" is [9,24], its architecture needs [10,24]'],
    ['no shape', entry('class', { shape: null }), '"class" is [null], its architecture needs [24]'],
    ['too few bytes', entry('class', { data_offsets: [0, 92] }), '"class" has 92 bytes, its shape needs 96'],
    ['a negative offset', entry('class', { data_offsets: [-96, 0] }), '"class" has the data_offsets [-96,0]'],
    ['an offset past the end', entry('class', { data_offsets: [1e9, 1e9 + 96] }), '"class" ends at byte 1000000096 of'],
    ['an odd offset', entry('class', { data_offsets: [2, 98] }), '"class" begins at byte'],
    ['no offsets', entry('class', { data_offsets: 'all' }), '"class" has the data_offsets "all"'],
    ['offsets as text', entry('class', { data_offsets: ['0', '96'] }), '"class" has the data_offsets ["0","96"]'],
    ['a shape as text', entry('class', { shape: '24' }), '"class" is [24], its architecture needs [24]'],
    [
      'offsets past 2³²',
      entry('class', { data_offsets: [2 ** 32, 2 ** 32 + 96] }),
      '"class" ends at byte 4294967392 of',
    ],
    [
      'bytes of another tensor',
      (header) => Object.assign(header.class, { data_offsets: spanOf(header, 'post_norm.bias') }),
      'begins at byte',
    ],
    [
      'bytes of no tensor',
      (header) => Object.assign(header, { 'pad.0': { dtype: 'U8', shape: [0], data_offsets: [64, 64] } }),
      '"pad.0" begins at byte 64, the one before it ends at',
    ],
    [
      'padding without bytes',
      (header) => Object.assign(header, { 'pad.0': null }),
      '"pad.0" has the data_offsets undefined',
    ],
    [
      'another format',
      (header) => Object.assign(header, { __metadata__: { format: 'x' } }),
      'its format is "x", not "edgeclip-engine/1"',
    ],
    ['no format', (header) => delete header.__metadata__, 'its format is undefined'],
  ])('%s', (_, change, message) => refused(randomModel(specs, change), message));

  it('a number that is none', async () => {
    const file = randomModel(specs);
    const last = new DataView(file.buffer, file.length - 4); // of the last tensor, projection.bias
    last.setFloat32(0, Number.NaN, true);
    await refused(file, 'tensor "projection.bias" has NaN at 15');
    last.setFloat32(0, Number.NEGATIVE_INFINITY, true);
    await refused(file, 'tensor "projection.bias" has -Infinity at 15');
  });

  it('a file for another architecture, with the two numbers that disagree', async () => {
    const other = { ...imageSpec, architecture: { ...imageSpec.architecture, mlp: 48 } };
    await refused(randomModel(specs), '"layers.0.fc1.weight" is [5,16,8,2], its architecture needs [6,16,8,2]', other);
    await refused(randomModel(specs), '"positions" is [10,24], its architecture needs [17,24]', {
      ...imageSpec,
      size: 20,
    });
  });

  it('a file cut off anywhere', async () => {
    const file = randomModel(specs);
    for (let length = 0; length < file.length; length += 997) {
      await expect(load(file.slice(0, length)), `${length}`).rejects.toMatchObject({ name: 'EngineError' });
    }
    await expect(load(file.slice(0, -1))).rejects.toThrow(/ends at byte/);
    await expect(load(Uint8Array.of(...file, 0))).rejects.toThrow(/^its tensors end at byte \d+ of \d+$/);
  });

  it.each([
    ['a header that is not JSON', 9, '?'],
    ['a header that is no text', 12, '\u00ff'],
  ])('%s', (_, at, char) => {
    const file = randomModel(specs);
    file[at] = char.charCodeAt(0);
    return refused(file, 'its header is not JSON');
  });

  it('a header longer than the file', () => {
    const file = randomModel(specs);
    new DataView(file.buffer).setBigUint64(0, 2n ** 62n, true);
    return refused(file, 'its header claims 46116860184273');
  });

  it('a model that does not fit into memory, with both numbers', () =>
    expect(loadImageEncoder(imageSpec, { bytes: 5e9, readInto: async () => {} })).rejects.toThrow(
      /^the model takes 50000\d+ bytes, WebAssembly has 4294967296$/,
    ));

  it('a model for which its claim of memory is refused, before it has any', () => {
    const claimMemory = (bytes: number) => {
      throw new Error(`not ${bytes}`);
    };
    const readInto = () => Promise.reject(new Error('too late'));
    return expect(loadImageEncoder({ ...imageSpec, claimMemory }, { bytes: 1e6, readInto })).rejects.toThrow(
      /^not 1\d{6}$/,
    );
  });

  it.each<[string, Partial<ImageEncoderSpec>, Partial<VisionTransformerArchitecture>, string]>([
    [
      'layers',
      {},
      { layers: 1e12 },
      "the architecture's 1000000000000 blocks have 4224000000000000 bytes of weights, the file ",
    ],
    ['width', {}, { width: 8e4 }, "the architecture's 2 blocks have 51212800000 bytes of weights, the file "],
    ['an MLP', {}, { mlp: 8e4 }, "the architecture's 2 blocks have 7684608 bytes of weights, the file "],
    ['inputs', {}, { mlp: 131080 }, 'a product has 131080 inputs, at most 131072 are taken'],
    ['pixels', { size: 5e5 }, { patch: 5e5 }, 'a product has 750000000000 inputs, at most 131072'],
    ['tokens', { size: 5e5 }, {}, 'the model takes 10000000001 tokens, attention at most 2048'],
    ['an embedding', { embeddingDim: 12 }, {}, 'the embedding has 12 dimensions, a product makes a multiple of 8'],
  ])('an architecture with %s that the file cannot have or the kernels not run', (_, spec, architecture, message) => {
    const changed = { ...imageSpec, ...spec, architecture: { ...imageSpec.architecture, ...architecture } };
    return refused(randomModel(specs), message, changed);
  });
});

it('passes on what reading the file throws', () =>
  expect(
    loadImageEncoder(imageSpec, { bytes: 1e6, readInto: () => Promise.reject(new Error('connection lost')) }),
  ).rejects.toThrow('connection lost'));
