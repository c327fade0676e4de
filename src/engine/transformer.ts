/**
 * The Transformer of CLIP, pre-norm, for images and for texts (Radford et al. 2021, §2.4; OpenAI's clip/model.py,
 * `ResidualAttentionBlock`):
 *
 *   x += out(attention(qkv(norm1(x))))
 *   x += fc2(activation(fc1(norm2(x))))
 *
 * Many sequences go through it at once: their tokens are the rows of one product, and attention takes each for itself.
 * Mostly one token's output is asked for, so in the last block everything but keys and values is computed for it alone.
 * Where tokens see only what comes before them, those that a sequence begins with like the one before it need not be
 * computed again: their keys and values are still there.
 * A token's numbers depend on its own sequence, never, not in the last bit, on what else was encoded with it or before.
 */
import type { TransformerArchitecture } from '../clip/architecture.ts';
import type { AttentionBuffers, Buffers } from './buffers.ts';
import type { Kernels } from './kernels.ts';
import { columnsOf, type Linear, type Matrix, type Norm, type Operations, outputsOf, rowsOf } from './operations.ts';

export interface Block {
  norm1: Norm;
  /** [3 · width ← width]: queries scaled by headDim^−½, keys, values */
  qkv: Linear;
  out: Linear;
  norm2: Norm;
  fc1: Linear;
  /** the address of what the activation's outputs are multiplied by for the fast product, or 0 */
  factor: number;
  fc2: Linear;
}

export type TransformerShape = TransformerArchitecture & { causal: boolean };

export interface Rows {
  first: number;
  count: number;
}

/** One of a batch: its tokens from `known` on are rows of `buffers.x`, after those of the sequence before it. */
export interface Sequence {
  /** So many tokens are those of the sequence before, in this batch or the last. Only if causal; at most `wanted.first`. */
  known: number;
  tokens: number;
  /** the tokens whose output is asked for */
  wanted: Rows;
}

/** A sequence and its first row. */
type Segment = Sequence & { first: number };

/** @returns the batch and how many rows it has */
function layOut(batch: readonly Sequence[]): { segments: Segment[]; rows: number } {
  let rows = 0;
  const segments = batch.map((sequence) => {
    const first = rows;
    rows += sequence.tokens - sequence.known;
    return { ...sequence, first };
  });
  return { segments, rows };
}

export interface AttentionInputs {
  /** [queries, width], scaled */
  queries: Matrix;
  /** [tokens, 2 · width] */
  keysValues: Matrix;
  /** which token the first query is, if queries see only the tokens up to their own; undefined: they see all */
  position: number | undefined;
}

/** @returns a function that writes softmax(q · kᵀ) · v of one sequence, its heads side by side, to `out` [queries, width] */
export function createAttention(
  kernels: Kernels,
  { width, heads }: Pick<TransformerArchitecture, 'width' | 'heads'>,
  { keys, keyScales, values, valueScales, zeros, scratch }: AttentionBuffers,
) {
  const headDim = width / heads;
  const packed = [keys, keyScales, values, valueScales, zeros, scratch] as const;
  return ({ queries, keysValues, position }: AttentionInputs, out: Matrix): void => {
    const [causal, first] = [position !== undefined, position ?? 0];
    const { at: q, stride: qStride, rows } = queries;
    const { at: kv, stride, rows: tokens } = keysValues;
    for (let head = 0; head < heads; head++) {
      const column = head * headDim * 4;
      kernels.packKeys(kv + column, stride, tokens, headDim, keys, keyScales);
      kernels.packValues(kv + width * 4 + column, stride, tokens, headDim, values, valueScales);
      kernels.attend(q + column, qStride, rows, first, causal, tokens, headDim, ...packed, out.at + column, out.stride);
    }
  };
}

/** @returns a function: x += fc2(activation(fc1(norm2(x)))), of the first rows of a batch */
export function createMlp(
  { linear, addLinear, layerNorm, activate }: Operations,
  { mlp }: TransformerArchitecture,
  { normed, wide }: Buffers,
) {
  return ({ norm2, fc1, factor, fc2 }: Pick<Block, 'norm2' | 'fc1' | 'factor' | 'fc2'>, x: Matrix): void => {
    const inputs = rowsOf(normed, 0, x.rows);
    const hidden: Matrix = { at: wide, rows: x.rows, columns: mlp, stride: mlp * 4 };
    layerNorm(x, norm2, inputs);
    linear(inputs, fc1, hidden);
    activate(hidden, factor);
    addLinear(hidden, fc2, x);
  };
}

export function createTransformer(
  { kernels, operations }: { kernels: Kernels; operations: Operations },
  shape: TransformerShape,
  { buffers, blocks }: { buffers: Buffers; blocks: readonly Block[] },
) {
  const { linear, addLinear, layerNorm } = operations;
  const { width, causal } = shape;
  const { x, normed, qkv, attended } = buffers;
  const queries = columnsOf(qkv, 0, width);
  const keysValues = columnsOf(qkv, width, 2 * width);
  const attention = createAttention(kernels, shape, buffers.attention);
  const runMlp = createMlp(operations, shape, buffers);
  const memory = new Uint8Array(kernels.memory.buffer);

  /** The keys and values of a sequence's tokens, together with those that it has from the sequence before. */
  function keysValuesOf(block: number, { first, known, tokens }: Segment): Matrix {
    const own = rowsOf(keysValues, first, tokens - known);
    if (!causal) return own;
    const all = rowsOf(buffers.kept[block], 0, tokens);
    for (let i = 0; i < own.rows; i++) {
      const from = own.at + i * own.stride;
      memory.copyWithin(all.at + (known + i) * all.stride, from, from + all.stride);
    }
    return all;
  }

  /** Attention of a sequence's `tokens`, whose queries are the rows of `qkv` from `row` on, into the same of `attended`. */
  function attend(block: number, segment: Segment, { row, tokens }: { row: number; tokens: Rows }): void {
    const inputs = {
      queries: rowsOf(queries, row, tokens.count),
      keysValues: keysValuesOf(block, segment),
      position: causal ? tokens.first : undefined,
    };
    attention(inputs, rowsOf(attended, row, tokens.count));
  }

  /** What follows attention, of the first `rows` of x. */
  function finishBlock(block: Block, rows: number): void {
    const own = rowsOf(x, 0, rows);
    addLinear(rowsOf(attended, 0, rows), block.out, own);
    runMlp(block, own);
  }

  function runBlock(i: number, segments: readonly Segment[], rows: number): void {
    const of = (m: Matrix) => rowsOf(m, 0, rows);
    layerNorm(of(x), blocks[i].norm1, of(normed));
    linear(of(normed), blocks[i].qkv, of(qkv));
    for (const segment of segments) {
      const { first: row, known, tokens } = segment;
      attend(i, segment, { row, tokens: { first: known, count: tokens - known } });
    }
    finishBlock(blocks[i], rows);
  }

  /**
   * The same for the keys and values of all tokens, and all else of those that are wanted.
   * @returns how many these are: the first rows of x
   */
  function runLastBlock(i: number, segments: readonly Segment[], rows: number): number {
    const of = (m: Matrix) => rowsOf(m, 0, rows);
    layerNorm(of(x), blocks[i].norm1, of(normed));
    linear(of(normed), outputsOf(blocks[i].qkv, width, 2 * width), of(keysValues));
    const wanted = gatherWanted(x, segments);
    gatherWanted(normed, segments);
    linear(rowsOf(normed, 0, wanted), outputsOf(blocks[i].qkv, 0, width), rowsOf(queries, 0, wanted));
    let row = 0;
    for (const segment of segments) {
      attend(i, segment, { row, tokens: segment.wanted });
      row += segment.wanted.count;
    }
    finishBlock(blocks[i], wanted);
    return wanted;
  }

  /** In place: rows only move towards the first. @returns how many there are */
  function gatherWanted({ at, stride }: Matrix, segments: readonly Segment[]): number {
    let to = 0;
    for (const { first, known, wanted } of segments) {
      const from = at + (first + wanted.first - known) * stride;
      memory.copyWithin(at + to * stride, from, from + wanted.count * stride);
      to += wanted.count;
    }
    return to;
  }

  /**
   * @param batch at most `maxRows` rows of `buffers.x`, which hold embeddings
   * @returns [all that is wanted, width]: the first rows of `buffers.x`, sequence by sequence; the others are garbage then
   */
  return (batch: readonly Sequence[]): Matrix => {
    const { segments, rows } = layOut(batch);
    // products come in fours: what fills up the last four must not pile up from call to call
    memory.fill(0, x.at + rows * x.stride, x.at + (rows + 3) * x.stride);
    const last = blocks.length - 1;
    for (let i = 0; i < last; i++) runBlock(i, segments, rows);
    return rowsOf(x, 0, runLastBlock(last, segments, rows));
  };
}
