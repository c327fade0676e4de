/** The activations of a Transformer, planned once, for a batch of up to `maxRows` tokens of sequences of up to `maxTokens`. */
import type { MemoryPlan } from './kernels.ts';
import { type Matrix, roomFor } from './operations.ts';
import type { TransformerShape } from './transformer.ts';

export interface Buffers {
  /** [rows, width], the residual stream */
  x: Matrix;
  /** [rows, width] */
  normed: Matrix;
  /**
   * Of each block, `qkv` and `attended` lie here, and when they have been used, the MLP's hidden layer [rows, mlp]. Free
   * before the first block and after the last.
   */
  wide: number;
  /** [rows, 3 · width]: queries, keys, values */
  qkv: Matrix;
  /** [rows, width], all heads side by side */
  attended: Matrix;
  /** If causal, for each block [maxTokens, 2 · width]: keys and values of the tokens of the sequence before. */
  kept: readonly Matrix[];
  attention: AttentionBuffers;
}

/** Of one head of one sequence: what `packKeys`, `packValues` and `attend` write and read (assembly/attention.ts). */
export interface AttentionBuffers {
  keys: number;
  keyScales: number;
  values: number;
  valueScales: number;
  zeros: number;
  scratch: number;
}

/** @param wideBytes what else `wide` must have room for */
export function planBuffers(
  plan: MemoryPlan,
  { layers, width, heads, mlp, causal }: TransformerShape,
  { maxTokens, maxRows, wideBytes }: { maxTokens: number; maxRows: number; wideBytes: number },
): Buffers {
  const rows = roomFor(maxRows);
  const tokens = roomFor(maxTokens);
  const matrix = (at: number, rows: number, columns: number): Matrix => ({ at, rows, columns, stride: columns * 4 });
  const take = (rows: number, columns: number) => matrix(plan.take(rows * columns * 4), rows, columns);
  const wide = plan.take(Math.max(rows * Math.max(mlp, 4 * width) * 4, wideBytes));
  return {
    x: take(rows, width),
    normed: take(rows, width),
    wide,
    qkv: matrix(wide, rows, 3 * width),
    attended: matrix(wide + rows * 3 * width * 4, rows, width),
    kept: Array.from({ length: causal ? layers : 0 }, () => take(tokens, 2 * width)),
    attention: planAttention(plan, maxTokens, width / heads),
  };
}

export function planAttention(plan: MemoryPlan, maxTokens: number, headDim: number): AttentionBuffers {
  const tokens = roomFor(maxTokens);
  return {
    keys: plan.take(tokens * headDim * 2),
    keyScales: plan.take(tokens * 4),
    values: plan.take(tokens * headDim * 2),
    valueScales: plan.take(tokens * 4),
    zeros: plan.take(32),
    scratch: plan.take(24 * tokens + 8 * headDim + 64),
  };
}
