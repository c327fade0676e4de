/**
 * The Transformer of CLIP, pre-norm, for images and for texts (Radford et al. 2021, §2.4; OpenAI's clip/model.py,
 * `ResidualAttentionBlock`):
 *
 *   x += out(attention(qkv(norm1(x))))
 *   x += fc2(activation(fc1(norm2(x))))
 *
 * Only one token's output is asked for, so in the last block everything but keys and values is computed for it alone.
 * A token's numbers depend on its own sequence, never on what else was encoded.
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

/** The activations of up to `maxTokens` tokens. */
export interface Buffers {
  /** [tokens, width], the residual stream */
  x: Matrix;
  /** [tokens, width] */
  normed: Matrix;
  /** [tokens, width], all heads side by side */
  attended: Matrix;
  /** bytes for [tokens, 3 · width] or [tokens, mlp], whichever is needed: never both */
  wide: number;
  attention: { keys: number; keyScales: number; values: number; valueScales: number; zeros: number; scratch: number };
}

/** @param wideBytes what else `wide` must have room for */
export function planBuffers(
  plan: MemoryPlan,
  { width, heads, mlp }: TransformerShape,
  { maxTokens, wideBytes }: { maxTokens: number; wideBytes: number },
): Buffers {
  const rows = roomFor(maxTokens);
  const headDim = width / heads;
  const matrix = (): Matrix => ({ at: plan.take(rows * width * 4), rows, columns: width, stride: width * 4 });
  return {
    x: matrix(),
    normed: matrix(),
    attended: matrix(),
    wide: plan.take(Math.max(rows * Math.max(3 * width, mlp) * 4, wideBytes)),
    attention: {
      keys: plan.take(rows * headDim * 2),
      keyScales: plan.take(rows * 4),
      values: plan.take(rows * headDim * 2),
      valueScales: plan.take(headDim * 4),
      zeros: plan.take(Math.max(rows, headDim) * 4),
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
  function attention(qkv: Matrix, first: number, count: number): void {
    const headDim = width / heads;
    const { keys, keyScales, values, valueScales, zeros, scratch } = buffers.attention;
    for (let head = 0; head < heads; head++) {
      const q = columnsOf(rowsOf(qkv, first, count), head * headDim, headDim);
      const k = columnsOf(qkv, width + head * headDim, headDim);
      const v = columnsOf(qkv, 2 * width + head * headDim, headDim);
      const out = columnsOf(rowsOf(buffers.attended, first, count), head * headDim, headDim);
      kernels.packKeys(k.at, k.stride, k.rows, headDim, keys, keyScales);
      kernels.packValues(v.at, v.stride, v.rows, headDim, values, valueScales);
      const packed = [keys, keyScales, values, valueScales, zeros, scratch] as const;
      kernels.attend(q.at, q.stride, count, first, causal, k.rows, headDim, ...packed, out.at, out.stride);
    }
  }

  /** Keys and values of all tokens; the rest for `count` tokens from `first` on, whose rows of x are then the block's. */
  function runBlock(block: Block, x: Matrix, { first, count }: { first: number; count: number }): void {
    const window = (m: Matrix) => rowsOf(m, first, count);
    const normed = rowsOf(buffers.normed, 0, x.rows);
    const qkv: Matrix = { at: buffers.wide, rows: x.rows, columns: 3 * width, stride: 12 * width };
    const hidden: Matrix = { at: buffers.wide, rows: count, columns: mlp, stride: 4 * mlp };

    layerNorm(x, block.norm1, normed);
    if (count === x.rows) linear(normed, block.qkv, qkv);
    else {
      linear(normed, outputsOf(block.qkv, width, 2 * width), columnsOf(qkv, width, 2 * width));
      linear(window(normed), outputsOf(block.qkv, 0, width), columnsOf(window(qkv), 0, width));
    }
    attention(qkv, first, count);
    addLinear(window(buffers.attended), block.out, window(x));

    layerNorm(window(x), block.norm2, window(normed));
    linear(window(normed), block.fc1, hidden);
    activate(hidden);
    addLinear(hidden, block.fc2, window(x));
  }

  /**
   * @param tokens how many rows of `buffers.x` hold embeddings
   * @param pooled the token whose output is asked for
   * @returns [1, width], a row of `buffers.x`; the other rows are garbage then
   */
  return (tokens: number, pooled: number): Matrix => {
    const x = rowsOf(buffers.x, 0, tokens);
    // products come in fours: what fills up the last four must not pile up from call to call
    new Uint8Array(kernels.memory.buffer, x.at + tokens * x.stride, (buffers.x.rows - tokens) * x.stride).fill(0);
    blocks.forEach((block, i) => {
      const last = i === blocks.length - 1;
      runBlock(block, x, last ? { first: pooled, count: 1 } : { first: 0, count: tokens });
    });
    return rowsOf(x, pooled, 1);
  };
}
