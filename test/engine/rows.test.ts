/** What is done to each row or number by itself, against float64. */
import { describe, expect, it } from 'vitest';
import { createWorkbench, normal, weights } from './workbench.ts';

describe('layer norm', () => {
  const norm = (x: Float32Array, width: number, eps: number, offset = 0) => {
    const { kernels, put, floats } = createWorkbench();
    const [weight, bias] = [normal(width, 2), normal(width, 3)];
    const shifted = x.map((v) => v + offset);
    const at = put(shifted);
    const rows = x.length / width;
    kernels.layerNorm(at, width * 4, rows, width, put(weight), put(bias), eps, at, width * 4);
    const expected = Array.from(shifted, (value, i) => {
      const row = Array.from(shifted.subarray(Math.floor(i / width) * width).subarray(0, width));
      const mean = row.reduce((a, b) => a + b) / width;
      const variance = row.reduce((sum, v) => sum + (v - mean) ** 2, 0) / width;
      return ((value - mean) / Math.sqrt(variance + eps)) * weight[i % width] + bias[i % width];
    });
    return { found: floats(at, x.length), expected };
  };

  it.each([
    [1, 8],
    [3, 24],
    [5, 256],
    [2, 3072],
  ])('[%i, %i]', (rows, width) => {
    const { found, expected } = norm(normal(rows * width, 1), width, 1e-5);
    for (const [i, x] of expected.entries()) expect(Math.abs(found[i] - x)).toBeLessThan(2e-5);
  });

  it('far from zero, where a one-pass variance would fail', () => {
    const { found, expected } = norm(normal(256, 1), 256, 1e-5, 1000);
    for (const [i, x] of expected.entries()) expect(Math.abs(found[i] - x)).toBeLessThan(1e-3);
  });

  it.each([1e20, 1e30, 3e38, Number.POSITIVE_INFINITY, Number.NaN])('a row with %f gives no number', (x) => {
    for (const row of [Float32Array.of(1, 2, 3, 4, 5, 6, 7, x), Float32Array.of(x, -x, x, -x, x, -x, x, -x)]) {
      expect(Array.from(norm(row, 8, 1e-5).found).every(Number.isNaN)).toBe(true);
    }
  });

  it('a constant row gives the bias, by eps', () => {
    const { found, expected } = norm(new Float32Array(8).fill(3), 8, 1e-6);
    expect(Array.from(found)).toEqual(expected.map(Math.fround));
  });
});

/** Abramowitz and Stegun 7.1.6, whose terms are all of one sign; 1 to float64's precision beyond 6. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [sum, term] = [x, x];
  for (let n = 1; n < 200; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}

const ACTIVATIONS = {
  quickGelu: (x: number) => x / (1 + Math.exp(-1.702 * x)),
  geluTanh: (x: number) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  gelu: (x: number) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
};

describe.each(Object.keys(ACTIVATIONS) as (keyof typeof ACTIVATIONS)[])('%s', (name) => {
  const activate = (x: Float32Array) => {
    const { kernels, put, floats } = createWorkbench();
    const at = put(x);
    kernels[name](at, x.length, 0);
    return floats(at, x.length);
  };

  it('within the error that its docstring states, from −60 to 60', () => {
    const x = Float32Array.from({ length: 120_004 }, (_, i) => i / 1000 - 60);
    const y = activate(x);
    let worst = 0;
    for (let i = 0; i < x.length; i++) {
      worst = Math.max(worst, Math.abs(y[i] - ACTIVATIONS[name](x[i])) / Math.max(1, Math.abs(x[i])));
    }
    expect(worst).toBeLessThan(3e-7);
  });

  it('with factors for the fast product: (activation + 0.171) · factor, never negative', () => {
    const { kernels, put, floats } = createWorkbench();
    const x = Float32Array.from({ length: 40_000 }, (_, i) => i / 1000 - 20);
    const factors = normal(x.length, 1).map(Math.abs);
    const at = put(x);
    kernels[name](at, x.length, put(factors));
    const y = floats(at, x.length);
    const expected = activate(x).map((value, i) => Math.fround(value + Math.fround(0.171)) * factors[i]);
    expect(y).toEqual(expected);
    expect(y.every((value) => value >= 0)).toBe(true);
  });

  it('large numbers, and what is none', () => {
    const [huge, tiny, ...others] = activate(Float32Array.of(1e30, -1e30, Number.NaN, Number.POSITIVE_INFINITY));
    expect(huge).toBeCloseTo(1e30, -24);
    expect(Math.abs(tiny)).toBeLessThan(1);
    expect(others.some((y) => Number.isFinite(y))).toBe(false);
  });
});

describe('patches', () => {
  it.each([
    [6, 2],
    [9, 3],
    [7, 7],
    [28, 14],
  ])('of an image of %i pixels, %i a side', (size, patch) => {
    const { kernels, put, take, floats } = createWorkbench();
    const pixels = Float32Array.from({ length: 3 * size * size }, (_, i) => i);
    const count = (size / patch) ** 2;
    const columns = Math.ceil((3 * patch * patch) / 16) * 16;
    const y = take(count * columns * 4);
    kernels.gatherPatches(put(pixels), size, patch, y, columns * 4);
    const expected: number[] = [];
    for (let py = 0; py < size; py += patch) {
      for (let px = 0; px < size; px += patch) {
        const row: number[] = [];
        for (let c = 0; c < 3; c++) {
          for (let i = 0; i < patch * patch; i++) {
            row.push((c * size + py + Math.floor(i / patch)) * size + px + (i % patch));
          }
        }
        expected.push(...row, ...Array(columns - row.length).fill(0));
      }
    }
    expect(Array.from(floats(y, count * columns))).toEqual(expected);
  });
});

it('tokens: a row of the table times its scale, plus the position', () => {
  const { kernels, put, take, floats } = createWorkbench();
  const [width, vocabulary] = [24, 7];
  const ids = Int32Array.of(6, 0, 3);
  const [table, scales, positions] = [weights(vocabulary * width, 1), normal(vocabulary, 2), normal(5 * width, 3)];
  const y = take(ids.length * width * 4);
  kernels.embedTokens(put(ids), ids.length, put(table), put(scales), put(positions), width, y);
  const expected = Array.from({ length: ids.length * width }, (_, i) => {
    const id = ids[Math.floor(i / width)];
    return Math.fround(Math.fround(table[id * width + (i % width)] * scales[id]) + positions[i]);
  });
  expect(Array.from(floats(y, expected.length))).toEqual(expected);
});

describe('numbers of a model file', () => {
  const fine = (x: readonly number[], least = Number.NEGATIVE_INFINITY) => {
    const { kernels, put } = createWorkbench();
    return kernels.allWithin(put(Float32Array.from(x)), x.length, least) === 1;
  };

  it.each([1, 3, 4, 6, 9])('of which %i are all finite', (count) => {
    const x = Array.from<unknown, number>({ length: count }, (_, i) => (i % 2 ? -3e38 : 1e-40));
    expect(fine(x)).toBe(true);
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (let i = 0; i < count; i++) expect(fine(x.with(i, bad)), `${bad} at ${i}`).toBe(false);
    }
  });

  it('are compared with the least', () => {
    expect(fine([0, 1, 2, 3, 0], 0)).toBe(true);
    for (let i = 0; i < 5; i++) expect(fine([0, 1, 2, 3, 0].with(i, -1e-30), 0)).toBe(false);
  });
});
