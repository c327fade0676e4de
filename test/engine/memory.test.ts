/** What `clip-export` says that an encoder takes, before it is deployed, against what the engine claims. */
import { describe, expect, it } from 'vitest';
import { parseImageArchitecture, parseTextArchitecture } from '../../src/clip/architecture.ts';
import { field } from '../../src/clip/checked-json.ts';
import { loadImageEncoder } from '../../src/engine/image-encoder.ts';
import type { KernelBuild } from '../../src/engine/kernels.ts';
import { resNetTensors } from '../../src/engine/resnet-shape.ts';
import { imageTensors, type TensorSpec, textTensors } from '../../src/engine/tensors.ts';
import { loadTextEncoder } from '../../src/engine/text-encoder.ts';
import { nextTurn } from '../../src/runtime/next-turn.ts';
import { goldenJson } from '../golden.ts';

interface Case {
  name: string;
  architecture: unknown;
  embeddingDim: number;
  /** 0 of a text encoder */
  size: number;
  contextLength: number;
  vocabularySize: number;
  fileBytes: number;
  memoryBytes: number;
}

class Claimed extends Error {
  readonly bytes: number;
  constructor(bytes: number) {
    super(`claims ${bytes} bytes`);
    this.bytes = bytes;
  }
}

/** What the engine would take: it is stopped when it asks, before a file is read. */
async function claimOf(build: KernelBuild, { architecture, fileBytes, ...sizes }: Case): Promise<number> {
  const claimMemory = (bytes: number) => {
    throw new Claimed(bytes);
  };
  const file = { bytes: fileBytes, readInto: () => Promise.reject(new Error('nothing is to be read')) };
  const common = { ...sizes, build, claimMemory };
  const text = { ...common, endOfText: sizes.vocabularySize - 1, padId: null };
  const load = sizes.size
    ? loadImageEncoder({ ...common, architecture: parseImageArchitecture(field(architecture), sizes.size) }, file)
    : loadTextEncoder({ ...text, architecture: parseTextArchitecture(field(architecture)) }, file, nextTurn);
  const error = await load.catch((reason: unknown) => reason);
  if (error instanceof Claimed) return error.bytes;
  throw error;
}

const BYTES = { I8: 1, I32: 4, F32: 4 };
const bytesOf = ({ dtype, shape }: TensorSpec) => shape.reduce((product, n) => product * n, BYTES[dtype]);

function tensorsOf({ architecture, ...sizes }: Case): readonly TensorSpec[] {
  if (!sizes.size) return textTensors(parseTextArchitecture(field(architecture)), sizes);
  const image = parseImageArchitecture(field(architecture), sizes.size);
  return image.kind === 'resnet' ? resNetTensors(image, sizes) : imageTensors(image, sizes);
}

const { cases } = goldenJson<{ cases: Case[] }>('engine-memory');

describe.each(cases)('$name', (model) => {
  it.each<KernelBuild>(['relaxed', 'plain'])('the engine claims what was said, %s', async (build) => {
    expect(await claimOf(build, model)).toBe(model.memoryBytes);
  });

  it('the file is no longer than was said, and hardly shorter', () => {
    const bytes = tensorsOf(model).reduce((sum, tensor) => sum + bytesOf(tensor), 0);
    expect(model.fileBytes).toBeGreaterThanOrEqual(bytes);
    expect(model.fileBytes).toBeLessThan(1.01 * bytes);
  });
});
