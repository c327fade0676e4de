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
  const query = Float64Array.from(embedding); // no float32 → float64 conversion of it in the loops
  const out = new Float32Array(rows.length / dim);
  let row = 0;
  for (; row + 4 <= out.length; row += 4) {
    // four rows for each load of the query, and four sums that do not wait for each other
    let [a, b, c, d] = [0, 0, 0, 0];
    const first = row * dim;
    const second = first + dim;
    const third = second + dim;
    const fourth = third + dim;
    for (let i = 0; i < dim; i++) {
      const x = query[i];
      a += x * rows[first + i];
      b += x * rows[second + i];
      c += x * rows[third + i];
      d += x * rows[fourth + i];
    }
    out[row] = a;
    out[row + 1] = b;
    out[row + 2] = c;
    out[row + 3] = d;
  }
  for (; row < out.length; row++) {
    let sum = 0;
    for (let i = 0; i < dim; i++) sum += query[i] * rows[row * dim + i];
    out[row] = sum;
  }
  return out;
}
