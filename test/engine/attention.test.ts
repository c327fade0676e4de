/** Attention of one head against softmax(q · kᵀ) · v in float64. Rows past the last are NaN: they must not be seen. */
import { describe, expect, it } from 'vitest';
import { roomFor } from '../../src/engine/operations.ts';
import { createWorkbench, normal } from './workbench.ts';

interface Head {
  tokens: number;
  headDim: number;
  causal: boolean;
  /** [tokens, headDim] each */
  q: Float32Array;
  k: Float32Array;
  v: Float32Array;
}

interface Queries {
  first: number;
  count: number;
}

/** @returns [count, headDim] */
function run({ tokens, headDim, causal, q, k, v }: Head, { first, count }: Queries): Float32Array {
  const { kernels, take, put, floats } = createWorkbench();
  const rows = roomFor(tokens);
  const stride = headDim * 4 + 32; // not only the head's own columns
  const rowsAt = (values: Float32Array) => {
    const at = take(rows * stride);
    for (let t = 0; t < tokens; t++) {
      const row = new Float32Array(kernels.memory.buffer, at + t * stride, headDim);
      row.set(values.subarray(t * headDim, (t + 1) * headDim));
    }
    return at;
  };
  const [keys, keyScales, values, valueScales] = [rows * headDim * 2, rows * 4, rows * headDim * 2, rows * 4].map(take);
  kernels.packKeys(rowsAt(k), stride, tokens, headDim, keys, keyScales);
  kernels.packValues(rowsAt(v), stride, tokens, headDim, values, valueScales);
  const zeros = put(new Float32Array(8));
  const scratch = take(24 * rows + 8 * headDim + 64);
  const out = take((count + 3) * headDim * 4);
  const packed = [keys, keyScales, values, valueScales, zeros, scratch] as const;
  const query = rowsAt(q) + first * stride;
  kernels.attend(query, stride, count, first, causal, tokens, headDim, ...packed, out, headDim * 4);
  return floats(out, count * headDim);
}

function reference({ tokens, headDim, causal, q, k, v }: Head, { first, count }: Queries): number[] {
  const out: number[] = [];
  for (let i = first; i < first + count; i++) {
    const seen = causal ? i + 1 : tokens;
    const scores = Array.from({ length: seen }, (_, j) => {
      let sum = 0;
      for (let d = 0; d < headDim; d++) sum += q[i * headDim + d] * k[j * headDim + d];
      return sum;
    });
    const top = Math.max(...scores);
    const exps = scores.map((s) => Math.exp(s - top));
    const total = exps.reduce((a, b) => a + b);
    for (let d = 0; d < headDim; d++) {
      out.push(exps.reduce((sum, e, j) => sum + (e / total) * v[j * headDim + d], 0));
    }
  }
  return out;
}

function randomHead(tokens: number, headDim: number, causal: boolean): Head {
  const [q, k, v] = [1, 2, 3].map((seed) => normal(tokens * headDim, seed));
  return { tokens, headDim, causal, q: q.map((x) => x / Math.sqrt(headDim)), k, v };
}

function largestError(head: Head, queries: Queries): number {
  const found = run(head, queries);
  return Math.max(...reference(head, queries).map((x, i) => (Number.isNaN(found[i]) ? 1e9 : Math.abs(x - found[i]))));
}

describe.each([1, 2, 3, 5, 7, 8, 9, 33, 65, 197])('%i tokens', (tokens) => {
  describe.each([8, 24, 64])('head dimension %i', (headDim) => {
    it.each([true, false])('causal: %s', (causal) => {
      const head = randomHead(tokens, headDim, causal);
      expect(largestError(head, { first: 0, count: tokens })).toBeLessThan(1e-3);
      expect(largestError(head, { first: tokens - 1, count: 1 })).toBeLessThan(1e-3);
      expect(largestError(head, { first: tokens >> 1, count: 1 })).toBeLessThan(1e-3);
    });
  });
});

it('one token sees itself only', () => {
  const head = randomHead(1, 8, true);
  expect(largestError(head, { first: 0, count: 1 })).toBeLessThan(1e-4);
});

it('scores far apart leave one value', () => {
  const head = randomHead(9, 16, false);
  head.q.fill(100);
  head.k.fill(-100);
  head.k.fill(100, 32, 48); // token 2
  const out = run(head, { first: 0, count: 9 });
  for (let i = 0; i < 9; i++) {
    for (let d = 0; d < 16; d++) expect(out[i * 16 + d]).toBeCloseTo(head.v[2 * 16 + d], 3);
  }
});

it('equal keys give the mean; all extremes stay within int32', () => {
  const head = randomHead(197, 64, false);
  head.k.fill(5);
  head.q.fill(5);
  head.v.fill(-3);
  expect(largestError(head, { first: 0, count: 197 })).toBeLessThan(1e-3);
});

it('the weights of so many tokens stay within their sum, when rounding makes all of them larger', () => {
  const head = randomHead(2047, 8, false); // 130047 / 2047 is 63.53, and 2047 · 64 is 131008
  head.k.fill(5);
  head.q.fill(5);
  for (const value of [3, -3]) {
    head.v.fill(value);
    expect(largestError(head, { first: 0, count: 4 })).toBeLessThan(1e-3);
  }
});

it('tokens that a query does not see change nothing in it, not in the last bit', () => {
  const head = randomHead(21, 16, true);
  const all = run(head, { first: 0, count: 21 });
  for (let tokens = 1; tokens < 21; tokens++) {
    const shorter = { ...head, tokens };
    expect(run(shorter, { first: 0, count: tokens })).toEqual(all.subarray(0, tokens * 16));
    expect(run(head, { first: tokens, count: 1 })).toEqual(all.subarray(tokens * 16, (tokens + 1) * 16));
  }
});

it('values of very different sizes', () => {
  const head = randomHead(33, 16, false);
  for (let t = 0; t < 33; t++) head.v.subarray(t * 16, (t + 1) * 16).fill(10 ** ((t % 7) - 3));
  expect(largestError(head, { first: 0, count: 33 })).toBeLessThan(0.1); // of values up to 1000
});

it('values of zeros', () => {
  const head = randomHead(5, 8, false);
  head.v.fill(0);
  expect(run(head, { first: 0, count: 5 })).toEqual(new Float32Array(40));
});

it('scores below all that a float can tell from what is not seen give no number', () => {
  const head = randomHead(5, 8, false);
  head.q.fill(1e16);
  head.k.fill(-1e16);
  expect(Array.from(run(head, { first: 0, count: 5 })).every(Number.isNaN)).toBe(true);
});

describe.each(['q', 'k', 'v'] as const)('a NaN or an infinity in %s comes through', (part) => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%f', (x) => {
    const head = randomHead(9, 16, false);
    head[part][3 * 16 + 5] = x;
    const out = run(head, { first: 0, count: 9 });
    const poisoned = part === 'q' ? out.subarray(48, 64) : out;
    expect(Array.from(poisoned).some(Number.isFinite)).toBe(false);
  });
});
