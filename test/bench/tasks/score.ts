/** One picture's embedding against a label set: cosines, softmax, the best ten. */
import { normalise } from '../../../src/clip/embedding.ts';
import { classify } from '../../../src/clip/zero-shot.ts';
import { createRandom } from '../random.ts';
import { type Context, sample } from './context.ts';

export async function score({ manifest }: Context, { runs, labels }: { runs: number; labels: number }) {
  const { embeddingDim, similarity } = manifest;
  const random = createRandom(labels);
  const unitVector = () => normalise(Float32Array.from({ length: embeddingDim }, () => random() - 0.5));
  const embeddings = new Float32Array(labels * embeddingDim);
  for (let i = 0; i < labels; i++) embeddings.set(unitVector(), i * embeddingDim);
  const set = { labels: Array.from({ length: labels }, (_, i) => `label ${i}`), embeddings };
  const query = unitVector();
  return sample(runs, () => classify(query, set, { similarity, scores: similarity.kind, topK: 10 }));
}
