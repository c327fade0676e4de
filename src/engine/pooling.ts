/** From the last block's tokens to the one vector that becomes the embedding; the layer norm after the blocks is here too. */
import type { TextArchitecture, TransformerArchitecture, VisionTransformerArchitecture } from '../clip/architecture.ts';
import type { Buffers } from './buffers.ts';
import type { Kernels } from './kernels.ts';
import { columnsOf, type Matrix, type Operations, rowsOf } from './operations.ts';
import { createAttention, createMlp } from './transformer.ts';
import type { Weights } from './weights.ts';

export type Pooling = VisionTransformerArchitecture['pooling'] | TextArchitecture['pooling'];

interface Parts {
  kernels: Kernels;
  operations: Operations;
  buffers: Buffers;
  weights: Weights;
  shape: TransformerArchitecture;
}

/**
 * @returns a function: [sequences · tokens, width], what of each sequence is pooled, the first rows of `buffers.x`, which
 * are overwritten → [sequences, width]
 */
export function createPooling(pooling: Pooling, parts: Parts): (x: Matrix, sequences: number) => Matrix {
  if (pooling === 'attention') return createAttentionPool(parts);
  const { layerNorm } = parts.operations;
  const postNorm = parts.weights.norm('post_norm');
  return (x, sequences) => {
    if (pooling === 'mean') moveMeansToFront(x, sequences, parts.kernels.memory.buffer);
    const pooled = rowsOf(x, 0, sequences);
    layerNorm(pooled, postNorm, pooled);
    return pooled;
  };
}

/** The mean of each sequence's rows: of the first to row 0, of the second to row 1, and so on. */
function moveMeansToFront(x: Matrix, sequences: number, memory: ArrayBufferLike): void {
  const row = (i: number) => new Float32Array(memory, x.at + i * x.stride, x.columns);
  const tokens = x.rows / sequences;
  for (let sequence = 0; sequence < sequences; sequence++) {
    const sums = new Float64Array(x.columns);
    for (let i = sequence * tokens; i < (sequence + 1) * tokens; i++) {
      const values = row(i);
      for (let k = 0; k < sums.length; k++) sums[k] += values[k];
    }
    row(sequence).set(sums.map((sum) => sum / tokens));
  }
}

/**
 * SigLIP's head (transformers' `SiglipMultiheadAttentionPoolingHead`, timm's `AttentionPoolLatent`): a learned query
 * attends to all tokens; then, as in a block, but with nothing to add to before,
 *
 *   y = out(attention(query, kv(post_norm(x))))
 *   y + fc2(activation(fc1(norm(y))))
 */
function createAttentionPool({ kernels, operations, buffers, weights, shape }: Parts) {
  const { linear, layerNorm } = operations;
  const { width, mlp } = shape;
  const postNorm = weights.norm('post_norm');
  const kv = weights.linear('pool.kv', 2 * width, width);
  const out = weights.linear('pool.out', width, width);
  const head = {
    norm2: weights.norm('pool.norm'),
    fc1: weights.linear('pool.fc1', mlp, width),
    factor: 0, // its products are exact
    fc2: weights.linear('pool.fc2', width, mlp),
  };
  // a stride of 0: attention takes queries by fours, and finds this one four times
  const queries: Matrix = { at: weights.at('pool.query'), rows: 1, columns: width, stride: 0 };
  const attention = createAttention(kernels, shape, buffers.attention);
  const runMlp = createMlp(operations, shape, buffers);

  return (x: Matrix, sequences: number): Matrix => {
    const keysValues = columnsOf(rowsOf(buffers.qkv, 0, x.rows), width, 2 * width);
    const [y, attended] = [x, buffers.attended].map((m) => rowsOf(m, 0, sequences));
    const tokens = x.rows / sequences;
    layerNorm(x, postNorm, x);
    linear(x, kv, keysValues);
    for (let i = 0; i < sequences; i++) {
      const own = { queries, keysValues: rowsOf(keysValues, i * tokens, tokens), position: undefined };
      attention(own, rowsOf(attended, i, 1));
    }
    linear(attended, out, y);
    runMlp(head, y);
    return y;
  };
}
