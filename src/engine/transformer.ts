/**
 * The Transformer of CLIP, pre-norm, for images and for texts (Radford et al. 2021, §2.4; OpenAI's clip/model.py,
 * `ResidualAttentionBlock`):
 *
 *   x += out(attention(qkv(norm1(x))))
 *   x += fc2(activation(fc1(norm2(x))))
 *
 * Mostly one token's output is asked for, so in the last block everything but keys and values is computed for it alone.
 * Where tokens see only what comes before them, those that a sequence begins with like the one before it need not be
 * computed again: their keys and values are still there.
 * A token's numbers depend on its own sequence, never, not in the last bit, on what else was encoded.
 */
import type { TransformerArchitecture } from '../clip/architecture.ts';
import type { Kernels, MemoryPlan } from './kernels.ts';
import {
  columnsOf,
  type Linear,
  type Matrix,
  type Norm,
  type Operations,
  outputsOf,
  roomFor,
  rowsOf,
} from './operations.ts';

export interface Block {
  norm1: Norm;
  /** [3 · width ← width]: queries scaled by headDim^−½, keys, values */
  qkv: Linear;
  out: Linear;
  norm2: Norm;
  fc1: Linear;
  fc2: Linear;
}

export type TransformerShape = TransformerArchitecture & { causal: boolean };

export interface Rows {
  first: number;
  count: number;
}

export interface Sequence {
  known: number;
  tokens: number;
  /** whose output is asked for */
  wanted: Rows;
}

/** The activations of up to `maxTokens` tokens. */
export interface Buffers {
  /** [tokens, width], the residual stream */
  x: Matrix;
  /** [tokens, width] */
  normed: Matrix;
  /** [tokens, width], all heads side by side */
  attended: Matrix;
  /** [tokens, width] */
  queries: Matrix;
  /** [tokens, 2 · width], keys then values: one for each block that keeps them, or one for all */
  keysValues: readonly Matrix[];
  /** bytes for [tokens, mlp] */
  wide: number;
  attention: { keys: number; keyScales: number; values: number; valueScales: number; zeros: number; scratch: number };
}

/** @param wideBytes what else `wide` must have room for */
export function planBuffers(
  plan: MemoryPlan,
  { layers, width, heads, mlp, causal }: TransformerShape,
  { maxTokens, wideBytes }: { maxTokens: number; wideBytes: number },
): Buffers {
  const rows = roomFor(maxTokens);
  const headDim = width / heads;
  const matrix = (columns: number): Matrix => ({
    at: plan.take(rows * columns * 4),
    rows,
    columns,
    stride: columns * 4,
  });
  return {
    x: matrix(width),
    normed: matrix(width),
    attended: matrix(width),
    queries: matrix(width),
    keysValues: Array.from({ length: causal ? layers : 1 }, () => matrix(2 * width)),
    wide: plan.take(Math.max(rows * mlp * 4, wideBytes)),
    attention: {
      keys: plan.take(rows * headDim * 2),
      keyScales: plan.take(rows * 4),
      values: plan.take(rows * headDim * 2),
      valueScales: plan.take(rows * 4),
      zeros: plan.take(32),
      scratch: plan.take(24 * rows + 8 * headDim + 64),
    },
  };
}

export function createTransformer(
  { kernels, operations }: { kernels: Kernels; operations: Operations },
  shape: TransformerShape,
  { buffers, blocks }: { buffers: Buffers; blocks: readonly Block[] },
) {
  const { linear, addLinear, layerNorm, activate } = operations;
  const { width, heads, mlp, causal } = shape;

  /** One head after the other: softmax(q · kᵀ) · v of the tokens `first` … `first + count − 1`, into `attended`. */
  function attention(keysValues: Matrix, { first, count }: Rows): void {
    const headDim = width / heads;
    const { keys, keyScales, values, valueScales, zeros, scratch } = buffers.attention;
    const packed = [keys, keyScales, values, valueScales, zeros, scratch] as const;
    for (let head = 0; head < heads; head++) {
      const q = columnsOf(rowsOf(buffers.queries, first, count), head * headDim, headDim);
      const k = columnsOf(keysValues, head * headDim, headDim);
      const v = columnsOf(keysValues, width + head * headDim, headDim);
      const out = columnsOf(rowsOf(buffers.attended, first, count), head * headDim, headDim);
      kernels.packKeys(k.at, k.stride, k.rows, headDim, keys, keyScales);
      kernels.packValues(v.at, v.stride, v.rows, headDim, values, valueScales);
      kernels.attend(q.at, q.stride, count, first, causal, k.rows, headDim, ...packed, out.at, out.stride);
    }
  }

  /** Keys and values of the tokens `fresh`, whose rows of x are those of the block before; all else of `wanted` only. */
  function runBlock(i: number, { tokens, fresh, wanted }: { tokens: number; fresh: Rows; wanted: Rows }): void {
    const { norm1, qkv, out, norm2, fc1, fc2 } = blocks[i];
    const keysValues = rowsOf(buffers.keysValues[i % buffers.keysValues.length], 0, tokens);
    const of = ({ first, count }: Rows, m: Matrix) => rowsOf(m, first, count);
    const { x, normed, queries, attended } = buffers;
    const hidden: Matrix = { at: buffers.wide, rows: wanted.count, columns: mlp, stride: 4 * mlp };

    layerNorm(of(fresh, x), norm1, of(fresh, normed));
    linear(of(fresh, normed), outputsOf(qkv, width, 2 * width), of(fresh, keysValues));
    linear(of(wanted, normed), outputsOf(qkv, 0, width), of(wanted, queries));
    attention(keysValues, wanted);
    addLinear(of(wanted, attended), out, of(wanted, x));

    layerNorm(of(wanted, x), norm2, of(wanted, normed));
    linear(of(wanted, normed), fc1, hidden);
    activate(hidden);
    addLinear(hidden, fc2, of(wanted, x));
  }

  /**
   * @param known so many tokens are as in the call before: only possible if causal, and at most `wanted.first`
   * @param tokens how long the sequence is; the rows of `buffers.x` from `known` on hold embeddings
   * @param wanted the tokens whose output is asked for
   * @returns [wanted.count, width], rows of `buffers.x`; the other rows are garbage then
   */
  return ({ known, tokens, wanted }: Sequence): Matrix => {
    const x = buffers.x;
    // products come in fours: what fills up the last four must not pile up from call to call
    new Uint8Array(kernels.memory.buffer, x.at + tokens * x.stride, (x.rows - tokens) * x.stride).fill(0);
    const fresh = { first: known, count: tokens - known };
    for (let i = 0; i < blocks.length; i++) {
      runBlock(i, { tokens, fresh, wanted: i === blocks.length - 1 ? wanted : fresh });
    }
    return rowsOf(x, wanted.first, wanted.count);
  };
}
