/** The fast product against a plain one, in both builds of the kernels, and at the bounds of int16 and int32. */
import { describe, expect, it } from 'vitest';
import type { KernelBuild } from '../../src/engine/kernels.ts';
import { groupsOf } from '../../src/engine/tensors.ts';
import { createWorkbench, normal, type Product, weights } from './workbench.ts';

interface FastProduct extends Product {
  /** the code of 0 */
  zero: 0 | 64;
}

const GROUP = 128;
const BUILDS: KernelBuild[] = ['relaxed', 'plain'];

/** [outputs, inputs] → [outputs / 8][inputs / 4][8][4], as the exporter packs. */
function pack({ inputs, outputs, w }: FastProduct): Int8Array {
  const panels = new Int8Array(outputs * inputs);
  for (let n = 0; n < outputs; n++) {
    for (let k = 0; k < inputs; k++) {
      panels[(n >> 3) * inputs * 8 + (k >> 2) * 32 + (n & 7) * 4 + (k & 3)] = w[n * inputs + k];
    }
  }
  return panels;
}

/** [groups, outputs] */
function startsOf({ inputs, outputs, w, zero }: FastProduct): Int32Array {
  const starts = new Int32Array(groupsOf(inputs) * outputs);
  for (let n = 0; n < outputs; n++) {
    for (let k = 0; k < inputs; k++) starts[Math.floor(k / GROUP) * outputs + n] -= zero * w[n * inputs + k];
  }
  return starts;
}

/** @returns [rows, outputs]; `y` is what was there before */
function run(product: FastProduct, build: KernelBuild, y?: Float32Array): Float32Array {
  const { kernels, put, take, floats } = createWorkbench(build);
  const { rows, inputs, outputs, x, scale, bias, zero } = product;
  const blocks = Math.ceil(rows / 4);
  const packed = take(blocks * 4 * inputs);
  const scales = take(blocks * 16 * groupsOf(inputs));
  const from = take(blocks * 4 * inputs * 4);
  new Float32Array(kernels.memory.buffer, from).set(x); // rows past the last stay NaN
  const to = take(blocks * 4 * outputs * 4);
  if (y) new Float32Array(kernels.memory.buffer, to).set(y);
  kernels.quantiseFast(from, inputs * 4, blocks, inputs, zero, packed, scales);
  const linear = [put(pack(product)), put(startsOf(product)), outputs * 4, put(scale), put(bias), outputs / 8] as const;
  kernels.linearFast(packed, scales, rows, inputs, ...linear, to, outputs * 4, y !== undefined);
  return floats(to, rows * outputs);
}

/** What each group of each row is rounded to: whole numbers times the group's scale. */
function rounded({ rows, inputs, x, zero }: FastProduct): { codes: number[]; scales: number[] } {
  const [codes, scales] = [new Array<number>(rows * inputs), new Array<number>(rows * inputs)];
  for (let row = 0; row < rows; row++) {
    for (let first = 0; first < inputs; first += GROUP) {
      const group = x.subarray(row * inputs + first, row * inputs + Math.min(first + GROUP, inputs));
      const largest = group.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
      const factor = Math.fround((127 - zero) / largest);
      for (const [i, value] of group.entries()) {
        codes[row * inputs + first + i] = largest < 1e-30 ? 0 : Math.max(roundEven(value * factor), -zero);
        scales[row * inputs + first + i] = Math.fround(largest / (127 - zero));
      }
    }
  }
  return { codes, scales };
}

function roundEven(x: number): number {
  const below = Math.floor(x);
  if (x - below === 0.5) return below + (below & 1);
  return Math.round(x);
}

/**
 * The product of the codes. A value may lie so near the middle of two codes that float32 and float64 differ by one, so
 * one code of a row may be off.
 */
function expectProduct(product: FastProduct, found: Float32Array): void {
  const { rows, inputs, outputs, w, scale, bias } = product;
  const { codes, scales } = rounded(product);
  for (let i = 0; i < rows * outputs; i++) {
    const [row, n] = [Math.floor(i / outputs), i % outputs];
    let [sum, size, step] = [0, 0, 0];
    for (let k = 0; k < inputs; k++) {
      const value = codes[row * inputs + k] * scales[row * inputs + k] * w[n * inputs + k];
      sum += value;
      size += Math.abs(value);
      step = Math.max(step, Math.abs(scales[row * inputs + k] * w[n * inputs + k]));
    }
    const value = sum * scale[n] + bias[n];
    const tolerance = (step + 2e-6 * size) * Math.abs(scale[n]) + 1e-6 * Math.abs(bias[n]);
    if (!(Math.abs(found[i] - value) <= tolerance)) expect.fail(`y[${i}] is ${found[i]}, not ${value} ± ${tolerance}`);
  }
}

const randomProduct = (rows: number, inputs: number, outputs: number, zero: 0 | 64 = 64): FastProduct => ({
  rows,
  inputs,
  outputs,
  x: normal(rows * inputs, 1).map((x) => (zero === 0 ? Math.abs(x) : x)),
  w: weights(outputs * inputs, 2).map((w) => Math.trunc(w / 2)), // four of them sum to 252 at most
  scale: normal(outputs, 3).map((x) => Math.abs(x) + 0.01),
  bias: normal(outputs, 4),
  zero,
});

describe.each<[number, number, number, 0 | 64]>([
  [1, 16, 8, 64],
  [2, 16, 8, 0],
  [3, 48, 16, 64],
  [4, 128, 8, 64],
  [5, 144, 24, 0],
  [9, 592, 16, 64],
  [65, 1024, 32, 0],
  [3, 3072, 8, 64],
])('[%i, %i] × [%i outputs], 0 is the code %i', (rows, inputs, outputs, zero) => {
  const product = randomProduct(rows, inputs, outputs, zero);
  const y = run(product, 'relaxed');

  it('is the product of the codes', () => expectProduct(product, y));

  it('is the same to the last bit without relaxed SIMD', () => expect(run(product, 'plain')).toEqual(y));

  it('adds to what is there', () => {
    const before = normal(rows * outputs, 5);
    expect(run(product, 'relaxed', before)).toEqual(y.map((value, i) => Math.fround(value + before[i])));
  });

  it.each(BUILDS)('a row is the same to the last bit alone and among others, build %s', (build) => {
    for (let row = Math.max(0, rows - 6); row < rows; row++) {
      const alone = run({ ...product, rows: 1, x: product.x.slice(row * inputs, (row + 1) * inputs) }, build);
      expect(alone).toEqual(y.slice(row * outputs, (row + 1) * outputs));
    }
  });
});

/** Weights of a lane at the bound: of the inputs 8i, 8i + 1, 8i + 4, 8i + 5, and of the four between them. */
const EXTREMES: [string, (k: number) => number][] = [
  ['127 and 127 beside 2 and 2', (k) => (k % 8 < 4 ? 127 : 2)],
  ['2 and 2 beside 127 and 127', (k) => (k % 8 < 4 ? 2 : 127)],
  ['−127 and −127 beside −2 and −2', (k) => (k % 8 < 4 ? -127 : -2)],
  ['−128 and −128 beside −1 and −1', (k) => (k % 8 < 4 ? -128 : -1)],
  ['127 and −127 in turns', (k) => (k % 2 ? -127 : 127)],
  ['127, 127 and then −127, −127', (k) => (k % 8 < 4 ? 127 : -127)],
  ['65, 65, 64, 64', (k) => (k % 8 < 4 ? 65 : 64)],
];

describe.each(BUILDS)('the largest sums fit, build %s', (build) => {
  describe.each([16, 128, 1024, 4096])('%i inputs', (inputs) => {
    it.each(EXTREMES)('weights of %s', (_, weight) => {
      for (const zero of [0, 64] as const) {
        for (const x of [1, -1]) {
          const product = randomProduct(5, inputs, 8, zero);
          product.x.fill(zero === 0 ? 1 : x);
          for (let i = 0; i < product.w.length; i++) product.w[i] = weight(i % inputs);
          expectProduct(product, run(product, build));
        }
      }
    });
  });
});

describe.each(BUILDS)('rows that are no ordinary ones, build %s', (build) => {
  const product = (values: number[], zero: 0 | 64 = 64): FastProduct => {
    const x = normal(3 * 16, 1).map(Math.abs);
    x.set(values, 16);
    return { ...randomProduct(3, 16, 8, zero), x };
  };
  const expectIt = (p: FastProduct) => expectProduct(p, run(p, build));

  it('of zeros', () => expectIt(product(Array(16).fill(0))));
  it('of numbers too small to be inverted', () => expectIt(product(Array(16).fill(1e-40))));
  it('of large numbers', () => expectIt(product(Array(16).fill(1e30))));
  it('with one outlier', () => expectIt(product([1e6, ...Array(15).fill(1)])));
  it('with a negative number where there should be none: it counts as 0', () => {
    expectIt(product([-3, ...Array(15).fill(1)], 0));
  });

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%f comes through, in its row', (x) => {
    const y = run(product([...Array(15).fill(1), x]), build);
    expect(Array.from(y.subarray(8, 16)).some(Number.isFinite)).toBe(false);
    expect([...y.subarray(0, 8), ...y.subarray(16)].every(Number.isFinite)).toBe(true);
  });

  it('an outlier in one group of inputs takes nothing from the precision of another', () => {
    const wide = randomProduct(1, 256, 8);
    const usual = run(wide, build);
    wide.x[0] = 1e6;
    for (let n = 0; n < 8; n++) wide.w.fill(0, n * 256, n * 256 + 128);
    const second = { ...wide, inputs: 128, x: wide.x.subarray(128), w: new Int8Array(8 * 128) };
    for (let n = 0; n < 8; n++) second.w.set(wide.w.subarray(n * 256 + 128, (n + 1) * 256), n * 128);
    expect(run(wide, build)).toEqual(run(second, build));
    expect(usual).not.toEqual(run(wide, build));
  });
});
