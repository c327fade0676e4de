/** Zero-shot scores: from cosines of a picture with labels to an answer. */
import { cosines } from './embedding.ts';
import type { Embedding } from './encoders.ts';

/** How a model's cosines become scores; the scale is already exponentiated. */
export type Similarity =
  | { kind: 'softmax'; logitScale: number }
  | { kind: 'sigmoid'; logitScale: number; logitBias: number };

/**
 * `softmax`: probabilities that sum to 1 over the labels (CLIP). `sigmoid`: each label on its own, 0 … 1 (SigLIP).
 * `logit`: logitScale · cosine + logitBias. `cosine`: −1 … 1.
 */
export const SCORE_KINDS = ['softmax', 'sigmoid', 'cosine', 'logit'] as const;
export type ScoreKind = (typeof SCORE_KINDS)[number];

export interface Prediction {
  label: string;
  score: number;
}

export interface ClassifyOptions {
  similarity: Similarity;
  scores: ScoreKind;
  /** at least 1 */
  topK: number;
  minScore?: number;
}

/** @param cosine [labels] @returns [labels] in float64 */
export function scoresOf(cosine: Float32Array, kind: ScoreKind, similarity: Similarity): Float64Array {
  const { logitScale } = similarity;
  const bias = similarity.kind === 'sigmoid' ? similarity.logitBias : 0;
  if (kind === 'cosine') return Float64Array.from(cosine);
  const logits = Float64Array.from(cosine, (c) => logitScale * c + bias);
  if (kind === 'logit') return logits;
  return kind === 'sigmoid' ? logits.map((x) => 1 / (1 + Math.exp(-x))) : softmax(logits);
}

function softmax(logits: Float64Array): Float64Array {
  let max = Number.NEGATIVE_INFINITY;
  for (const x of logits) max = Math.max(max, x);
  const exps = logits.map((x) => Math.exp(x - max));
  let sum = 0;
  for (const x of exps) sum += x;
  return exps.map((x) => x / sum);
}

/** Indices of the `count` highest scores, highest first; equal ones in their own order. */
export function topIndices(scores: Float64Array, count: number): number[] {
  const order = Array.from(scores.keys());
  if (count < 50 && order.length > 1000) return selectTop(scores, count);
  return order.sort((a, b) => scores[b] - scores[a] || a - b).slice(0, count);
}

/** A few of many: one pass with a short sorted list, instead of sorting all. */
function selectTop(scores: Float64Array, count: number): number[] {
  const top: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    if (top.length === count && scores[i] <= scores[top[count - 1]]) continue;
    let at = Math.min(top.length, count - 1);
    while (at > 0 && scores[top[at - 1]] < scores[i]) {
      top[at] = top[at - 1];
      at--;
    }
    top[at] = i;
  }
  return top;
}

/** @param set labels with their [labels, embeddingDim] unit rows */
export function classify(
  embedding: Embedding,
  set: { labels: readonly string[]; embeddings: Float32Array },
  { similarity, scores: kind, topK, minScore = Number.NEGATIVE_INFINITY }: ClassifyOptions,
): Prediction[] {
  const scores = scoresOf(cosines(embedding, set.embeddings), kind, similarity);
  return topIndices(scores, topK)
    .filter((i) => scores[i] >= minScore)
    .map((i) => ({ label: set.labels[i], score: scores[i] }));
}
