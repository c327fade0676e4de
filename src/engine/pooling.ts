/** From the last block's tokens to the one vector that becomes the embedding; the layer norm after the blocks is here too. */
import type { ImageArchitecture, TextArchitecture, TransformerArchitecture } from '../clip/architecture.ts';
import type { Kernels } from './kernels.ts';
import { columnsOf, type Matrix, type Operations, rowsOf } from './operations.ts';
import type { Weights } from './tower.ts';
import type { Buffers } from './transformer.ts';

export type Pooling = ImageArchitecture['pooling'] | TextArchitecture['pooling'];

interface Parts {
  kernels: Kernels;
  operations: Operations;
  buffers: Buffers;
  weights: Weights;
  shape: TransformerArchitecture;
}

/** @returns a function: [tokens that are pooled, width], rows of `buffers.x`, which are overwritten → [1, width] */
export function createPooling(pooling: Pooling, parts: Parts): (x: Matrix) => Matrix {
  if (pooling === 'attention') return createAttentionPool(parts);
  const { layerNorm } = parts.operations;
  const postNorm = parts.weights.norm('post_norm');
  return (x) => {
    if (pooling === 'mean') moveMeanToFirst(x, parts.kernels.memory.buffer);
    const first = rowsOf(x, 0, 1);
    layerNorm(first, postNorm, first);
    return first;
  };
}

/** The mean of the rows, into the first of them. */
function moveMeanToFirst(x: Matrix, memory: ArrayBufferLike): void {
  const row = (i: number) => new Float32Array(memory, x.at + i * x.stride, x.columns);
  const sums = Float64Array.from(row(0));
  for (let i = 1; i < x.rows; i++) {
    const values = row(i);
    for (let k = 0; k < sums.length; k++) sums[k] += values[k];
  }
  row(0).set(sums.map((sum) => sum / x.rows));
}

/**
 * SigLIP's head (transformers' `SiglipMultiheadAttentionPoolingHead`, timm's `AttentionPoolLatent`): a learned query
 * attends to all tokens; then, as in a block, but with nothing to add to before,
 *
 *   y = out(attention(query, kv(post_norm(x))))
 *   y + fc2(activation(fc1(norm(y))))
 */
function createAttentionPool({ kernels, operations, buffers, weights, shape }: Parts): (x: Matrix) => Matrix {
  const { linear, addLinear, layerNorm, activate } = operations;
  const { width, heads, mlp } = shape;
  const postNorm = weights.norm('post_norm');
  const kv = weights.linear('pool.kv', 2 * width, width);
  const out = weights.linear('pool.out', width, width);
  const norm = weights.norm('pool.norm');
  const fc1 = weights.linear('pool.fc1', mlp, width);
  const fc2 = weights.linear('pool.fc2', width, mlp);
  // a stride of 0: attention takes queries by fours, and finds this one four times
  const query: Matrix = { at: weights.at('pool.query'), rows: 1, columns: width, stride: 0 };
  const attended = rowsOf(buffers.attended, 0, 1);
  const normed = rowsOf(buffers.normed, 0, 1);
  const hidden: Matrix = { at: buffers.wide, rows: 1, columns: mlp, stride: 4 * mlp };

  function attention(keysValues: Matrix): void {
    const headDim = width / heads;
    const { keys, keyScales, values, valueScales, zeros, scratch } = buffers.attention;
    const packed = [keys, keyScales, values, valueScales, zeros, scratch] as const;
    for (let head = 0; head < heads; head++) {
      const [q, k, to] = [query, keysValues, attended].map((m) => columnsOf(m, head * headDim, headDim));
      const v = columnsOf(keysValues, width + head * headDim, headDim);
      kernels.packKeys(k.at, k.stride, k.rows, headDim, keys, keyScales);
      kernels.packValues(v.at, v.stride, v.rows, headDim, values, valueScales);
      kernels.attend(q.at, q.stride, 1, 0, false, k.rows, headDim, ...packed, to.at, to.stride);
    }
  }

  return (x) => {
    const keysValues = rowsOf(buffers.keysValues[0], 0, x.rows);
    const y = rowsOf(x, 0, 1);
    layerNorm(x, postNorm, x);
    linear(x, kv, keysValues);
    attention(keysValues);
    linear(attended, out, y);
    layerNorm(y, norm, normed);
    linear(normed, fc1, hidden);
    activate(hidden);
    addLinear(hidden, fc2, y);
    return y;
  };
}
