import type { Embedding } from './encoders.ts';

/** Scales to length 1. A zero vector has no direction and stays zero. */
export function normalise(vector: Float32Array): Embedding {
  let squares = 0;
  for (const x of vector) squares += x * x;
  const scale = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  return vector.map((x) => x * scale);
}

/** The mean of unit vectors, normalised again: CLIP's prompt ensemble (Radford et al. 2021, §3.1.4). */
export function meanEmbedding(embeddings: readonly Embedding[]): Embedding {
  const sum = new Float32Array(embeddings[0].length);
  for (const embedding of embeddings) for (let i = 0; i < sum.length; i++) sum[i] += embedding[i];
  return normalise(sum);
}

/**
 * Dot products of one embedding with every row of a matrix: cosines, as both are unit vectors.
 * @param rows [count, embedding.length], row-major
 * @returns [count], each in −1 … 1
 */
export function cosines(embedding: Embedding, rows: Float32Array): Float32Array {
  const dim = embedding.length;
  const query = Float64Array.from(embedding); // no float32 → float64 conversion of it in the loop
  const out = new Float32Array(rows.length / dim);
  const unrolled = dim & ~3;
  for (let row = 0, base = 0; row < out.length; row++, base += dim) {
    // four sums that do not wait for each other
    let a = 0;
    let b = 0;
    let c = 0;
    let d = 0;
    let i = 0;
    for (; i < unrolled; i += 4) {
      a += query[i] * rows[base + i];
      b += query[i + 1] * rows[base + i + 1];
      c += query[i + 2] * rows[base + i + 2];
      d += query[i + 3] * rows[base + i + 3];
    }
    for (; i < dim; i++) a += query[i] * rows[base + i];
    out[row] = a + b + (c + d);
  }
  return out;
}
