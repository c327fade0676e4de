/** The reference's predictions and embeddings, through HTTP; for the Worker on whichever runtime its model has. */
import { describe, expect, it, test } from 'vitest';
import { goldenJson, goldenTensors } from '../golden.ts';
import { base64, type Server, sample } from './server.ts';

interface Case {
  image: string;
  list: string;
  labels: string[];
  templates: string[];
  scores: string;
  predictions: { label: string; score: number }[];
}

const golden = goldenJson<{ images: string[]; texts: string[]; dim: number }>('embeddings');
const { tensors } = goldenTensors('embeddings');
const row = (name: string, i: number) =>
  (tensors.get(name)!.data as Float32Array).subarray(i * golden.dim, (i + 1) * golden.dim);

const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * b[i], 0);

/**
 * @param input of an OpenAI request
 * @param model the default if it is not given
 */
export async function embed(server: Server, input: unknown, model?: string): Promise<Float32Array[]> {
  const { status, body } = await server.post('/v1/embeddings', { input, model, encoding_format: 'base64' });
  expect(status).toBe(200);
  return body.data.map(({ embedding }: { embedding: string }) => {
    const bytes = Uint8Array.from(Buffer.from(embedding, 'base64'));
    return new Float32Array(bytes.buffer);
  });
}

/** @param within the most that a probability may differ, and the least cosine of an embedding */
export function describeGoldenAnswers(server: () => Server, within: { score: number; cosine: number }): void {
  describe('gives the reference’s probabilities', () => {
    const cases = goldenJson<{ cases: Case[] }>('predictions').cases.filter(({ scores }) => scores === 'softmax');

    test.each(cases)('$image, $list', async ({ image, labels, templates, predictions }) => {
      const { body } = await server().post('/v1/classify', { image: base64(sample(image)), labels, templates });
      for (const { label, score } of predictions) {
        const found = body.predictions.find((prediction: { label: string }) => prediction.label === label);
        expect(Math.abs(found.score - score), label).toBeLessThan(within.score);
      }
    });
  });

  describe(`gives the reference’s embeddings, at a cosine of ${within.cosine} at least`, () => {
    it('of images', async () => {
      const embeddings = await embed(
        server(),
        golden.images.map((name) => ({ image: base64(sample(name)) })),
      );
      for (const [i, embedding] of embeddings.entries()) {
        expect(dot(embedding, embedding)).toBeCloseTo(1, 5);
        expect(dot(embedding, row('images', i)), golden.images[i]).toBeGreaterThan(within.cosine);
      }
    });

    it('of texts', async () => {
      const texts = golden.texts
        .map((text, i) => ({ text, i }))
        .filter(({ text }) => text.trim() !== '' && text.length <= 1000);
      expect(texts.length).toBeGreaterThan(30);
      const embeddings = await embed(
        server(),
        texts.map(({ text }) => text),
      );
      for (const [k, { text, i }] of texts.entries()) {
        expect(dot(embeddings[k], row('texts', i)), text).toBeGreaterThan(within.cosine);
      }
    });
  });
}
