import { describe, expect, it, test } from 'vitest';
import { cosines, meanEmbedding, normalise } from '../../src/clip/embedding.ts';
import { classify, type ScoreKind, type Similarity, topIndices } from '../../src/clip/zero-shot.ts';
import { goldenJson, goldenTensors, maxDifference } from '../golden.ts';

interface Case {
  image: string;
  list: string;
  labels: string[];
  templates: string[];
  scores: ScoreKind;
  logitScale: number;
  logitBias: number;
  predictions: { label: string; score: number }[];
}

const { cases } = goldenJson<{ cases: Case[] }>('predictions');
const { images, dim } = goldenJson<{ images: string[]; dim: number }>('embeddings');
const { tensors } = goldenTensors('embeddings');
const floats = (name: string) => tensors.get(name)!.data as Float32Array;
const imageEmbedding = (image: string) =>
  floats('images').subarray(images.indexOf(image) * dim, (images.indexOf(image) + 1) * dim);

describe('PyTorch’s scores', () => {
  test.each(cases)('$image, $list, $scores', ({ image, list, labels, scores, predictions, ...scale }) => {
    const similarity: Similarity =
      scores === 'sigmoid'
        ? { kind: 'sigmoid', logitScale: scale.logitScale, logitBias: scale.logitBias }
        : { kind: 'softmax', logitScale: scale.logitScale };
    const set = { labels, embeddings: floats(`labels/${list}`) };
    const found = classify(imageEmbedding(image), set, { similarity, scores, topK: labels.length });
    expect(found.map(({ label }) => label)).toEqual(predictions.map(({ label }) => label));
    const difference = maxDifference(
      found.map(({ score }) => score),
      predictions.map(({ score }) => score),
    );
    expect(difference).toBeLessThan(scores === 'logit' ? 1e-5 : 1e-6);
  });
});

describe('prompt ensembles', () => {
  const lists = [...new Map(cases.map((c) => [c.list, c])).values()];
  test.each(lists)('$list: the mean of the prompts, normalised', ({ list, labels, templates }) => {
    const prompts = floats(`prompts/${list}`);
    for (let label = 0; label < labels.length; label++) {
      const of = templates.map((_, t) => {
        const start = (label * templates.length + t) * dim;
        return prompts.subarray(start, start + dim);
      });
      expect(
        maxDifference(meanEmbedding(of), floats(`labels/${list}`).subarray(label * dim, (label + 1) * dim)),
      ).toBeLessThan(1e-6);
    }
  });

  it('are among the lists', () => {
    expect(lists.some(({ templates }) => templates.length > 1)).toBe(true);
  });
});

describe('topIndices', () => {
  // a sort of all against the one-pass selection, on scores with ties
  const scores = Float64Array.from({ length: 5000 }, (_, i) => ((i * 7919) % 1013) / 1013);

  it.each([1, 2, 10, 49])('takes the best %i, equal ones in their order', (count) => {
    const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a] || a - b);
    expect(topIndices(scores, count)).toEqual(order.slice(0, count));
  });

  it('gives all when more are asked for', () => {
    expect(topIndices(Float64Array.from([1, 3, 2]), 10)).toEqual([1, 2, 0]);
  });
});

const options = { similarity: { kind: 'softmax', logitScale: 100 }, scores: 'softmax', topK: 9 } as const;

it('softmax does not overflow, and sums to 1', () => {
  const set = { labels: ['a', 'b'], embeddings: Float32Array.from([1, 0, 0, 1]) };
  const huge = { ...options, similarity: { kind: 'softmax', logitScale: 1e4 } } as const;
  const predictions = classify(Float32Array.from([1, 0]), set, huge);
  expect(predictions[0]).toEqual({ label: 'a', score: 1 });
  expect(predictions[0].score + predictions[1].score).toBe(1);
});

it('leaves out what is below minScore', () => {
  const set = { labels: ['a', 'b'], embeddings: Float32Array.from([1, 0, 0, 1]) };
  expect(classify(Float32Array.from([1, 0]), set, { ...options, scores: 'cosine', minScore: 0.5 })).toHaveLength(1);
});

it('cosines of dimensions that are no multiple of 4', () => {
  expect(
    Array.from(cosines(Float32Array.from([1, 2, 3, 4, 5]), Float32Array.from([1, 1, 1, 1, 1, 0, 0, 0, 0, 2]))),
  ).toEqual([15, 10]);
});

it('normalises to length 1, and leaves zero alone', () => {
  expect(Array.from(normalise(Float32Array.from([3, 4])))).toEqual([Math.fround(0.6), Math.fround(0.8)]);
  expect(Array.from(normalise(new Float32Array(2)))).toEqual([0, 0]);
});
