/** Whole forward passes against PyTorch in float32: small random CLIPs of odd sizes, and the default model. */
import { describe, expect, it } from 'vitest';
import { parseImageArchitecture, parseTextArchitecture } from '../../src/clip/architecture.ts';
import { field } from '../../src/clip/checked-json.ts';
import { cosines } from '../../src/clip/embedding.ts';
import { loadImageEncoder } from '../../src/engine/image-encoder.ts';
import { loadTextEncoder } from '../../src/engine/text-encoder.ts';
import { nextTurn } from '../../src/runtime/next-turn.ts';
import { goldenJson, goldenTensors, readBytes } from '../golden.ts';
import { inMemory } from './random-model.ts';

interface Case {
  name: string;
  why: string;
  embeddingDim: number;
  image: { size: number; architecture: unknown; file: string };
  text: { contextLength: number; vocabularySize: number; endOfText: number; architecture: unknown; file: string };
  ids: number[][];
}

/**
 * The weights are int8 exactly; what is left is the rounding of activations to 12 bits and more. Of fast products the
 * golden embeddings have rounded activations too, but a number that lies between two codes may go the other way. (They
 * are 5e-6 to 7e-4 away from embeddings in float.)
 */
const leastCosine = ({ fast }: { fast: readonly string[] }) => (fast.length > 0 ? 0.9999 : 0.999999);

const { cases } = goldenJson<{ cases: Case[] }>('engine');
const { tensors } = goldenTensors('engine');
const golden = (name: string) => tensors.get(name)! as { shape: number[]; data: Float32Array };
const model = (file: string) => inMemory(readBytes(`test/fixtures/golden/${file}`));

describe.each(cases)('$name: $why', ({ name, embeddingDim, image, text, ids }) => {
  it('images', async () => {
    const architecture = parseImageArchitecture(field(image.architecture), image.size);
    const encoder = await loadImageEncoder({ architecture, size: image.size, embeddingDim }, model(image.file));
    const pixels = golden(`${name}/pixels`);
    const values = pixels.data.length / pixels.shape[0];
    for (let i = 0; i < pixels.shape[0]; i++) {
      const embedding = await encoder.encodeImage(pixels.data.subarray(i * values, (i + 1) * values));
      expect(cosines(embedding, golden(`${name}/images`).data)[i], `image ${i}`).toBeGreaterThan(
        leastCosine(architecture),
      );
    }
  });

  it('texts', async () => {
    const architecture = parseTextArchitecture(field(text.architecture));
    const encoder = await loadTextEncoder(
      { padId: null, ...text, architecture, embeddingDim },
      model(text.file),
      nextTurn,
    );
    const embeddings = await encoder.encodeTexts(ids.map((tokens) => Int32Array.from(tokens)));
    for (const [i, embedding] of embeddings.entries()) {
      expect(cosines(embedding, golden(`${name}/texts`).data)[i], `text ${i}`).toBeGreaterThan(
        leastCosine(architecture),
      );
    }
  });
});
