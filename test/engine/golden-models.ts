/** The small random models that `clip-export` wrote with PyTorch's embeddings, as golden.test.ts compares them. */
import {
  type ImageArchitecture,
  parseImageArchitecture,
  parseTextArchitecture,
  type TextArchitecture,
} from '../../src/clip/architecture.ts';
import { field } from '../../src/clip/checked-json.ts';
import { type ImageEncoderSpec, loadImageEncoder } from '../../src/engine/image-encoder.ts';
import { loadTextEncoder, type TextEncoderSpec } from '../../src/engine/text-encoder.ts';
import { nextTurn } from '../../src/runtime/next-turn.ts';
import { goldenJson, goldenTensors, readBytes } from '../golden.ts';
import { inMemory } from './in-memory.ts';

interface Case {
  name: string;
  why: string;
  embeddingDim: number;
  image: { size: number; architecture: unknown; file: string };
  text: Omit<TextEncoderSpec, 'architecture' | 'embeddingDim'> & { architecture: unknown; file: string };
  ids: number[][];
}

const { tensors } = goldenTensors('engine');
const golden = (name: string) => tensors.get(name)! as { shape: number[]; data: Float32Array };
const fileOf = (name: string) => readBytes(`test/fixtures/golden/${name}`);

function goldenModel({ name, why, embeddingDim, image, text, ids }: Case) {
  const imageSpec: ImageEncoderSpec = {
    architecture: parseImageArchitecture(field(image.architecture), image.size),
    size: image.size,
    embeddingDim,
  };
  const textSpec: TextEncoderSpec = {
    ...text,
    architecture: parseTextArchitecture(field(text.architecture)),
    embeddingDim,
  };
  const pixels = golden(`${name}/pixels`);
  const values = pixels.data.length / pixels.shape[0];
  return {
    name,
    why,
    imageSpec,
    textSpec,
    imageFile: fileOf(image.file),
    loadImages: (changes: Partial<ImageEncoderSpec> = {}, file = fileOf(image.file)) =>
      loadImageEncoder({ ...imageSpec, ...changes }, inMemory(file)),
    loadTexts: (changes: Partial<TextEncoderSpec> = {}) =>
      loadTextEncoder({ ...textSpec, ...changes }, inMemory(fileOf(text.file)), nextTurn),
    pictures: Array.from({ length: pixels.shape[0] }, (_, i) => pixels.data.subarray(i * values, (i + 1) * values)),
    ids: ids.map((tokens) => Int32Array.from(tokens)),
    /** [images, embeddingDim] and [texts, embeddingDim], PyTorch's */
    images: golden(`${name}/images`).data,
    texts: golden(`${name}/texts`).data,
  };
}

/** The linears that a golden file's embeddings have at 7 bits. */
export const fastLinears = (architecture: ImageArchitecture | TextArchitecture): readonly string[] =>
  'fast' in architecture ? architecture.fast : [];

export const goldenModels = goldenJson<{ cases: Case[] }>('engine').cases.map(goldenModel);
