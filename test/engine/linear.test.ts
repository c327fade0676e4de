/** The integer product against a plain one, on awkward shapes and at the bound of int32. */
import { describe, expect, it } from 'vitest';
import { padInputs } from '../../src/engine/tensors.ts';
import { createWorkbench, normal, type Product, pack, weights } from './workbench.ts';

/** @returns [rows, outputs]; `y` is what was there before */
function run(product: Product, y?: Float32Array): Float32Array {
  const { kernels, put, take, floats } = createWorkbench();
  const { rows, inputs, outputs, x, scale, bias } = product;
  const blocks = Math.ceil(rows / 4);
  const padded = padInputs(inputs);
  const packed = take(blocks * 4 * padded * 2);
  const scales = take(blocks * 16);
  const from = take(blocks * 4 * inputs * 4);
  new Float32Array(kernels.memory.buffer, from).set(x); // rows past the last stay NaN
  const to = take(blocks * 4 * outputs * 4);
  if (y) new Float32Array(kernels.memory.buffer, to).set(y);
  kernels.quantise(from, inputs * 4, blocks, inputs, packed, scales);
  const linear = [put(pack(product)), put(scale), put(bias), outputs / 8] as const;
  kernels.linear(packed, scales, rows, padded, ...linear, to, outputs * 4, y !== undefined);
  return floats(to, rows * outputs);
}

/** The product of the unrounded x, and how far rounding x may move it. */
function reference({ rows, inputs, outputs, x, w, scale, bias }: Product) {
  const limit = Math.min(32767, Math.floor((2 ** 31 - 1) / (128 * padInputs(inputs))));
  return Array.from({ length: rows * outputs }, (_, i) => {
    const [row, n] = [Math.floor(i / outputs), i % outputs];
    let [sum, size, largest] = [0, 0, 0];
    for (let k = 0; k < inputs; k++) {
      const [a, b] = [x[row * inputs + k], w[n * inputs + k]];
      sum += a * b;
      size += Math.abs(b);
      largest = Math.max(largest, Math.abs(a));
    }
    const rounding = ((largest / limit) * 0.5 * size + 1e-6 * largest * size) * scale[n];
    return { value: sum * scale[n] + bias[n], tolerance: rounding + 1e-6 * Math.abs(bias[n]) };
  });
}

function expectWithinRounding(product: Product, found = run(product)): void {
  for (const [i, { value, tolerance }] of reference(product).entries()) {
    if (!(Math.abs(found[i] - value) <= tolerance)) expect.fail(`y[${i}] is ${found[i]}, not ${value} ± ${tolerance}`);
  }
}

const randomProduct = (rows: number, inputs: number, outputs: number): Product => ({
  rows,
  inputs,
  outputs,
  x: normal(rows * inputs, 1),
  w: weights(outputs * inputs, 2),
  scale: normal(outputs, 3).map((x) => Math.abs(x) + 0.01),
  bias: normal(outputs, 4),
});

describe.each([
  [1, 8, 8],
  [2, 16, 8],
  [3, 24, 16],
  [4, 48, 8],
  [5, 256, 24],
  [9, 592, 16],
  [65, 1024, 32],
  [3, 3072, 8],
])('[%i, %i] × [%i outputs]', (rows, inputs, outputs) => {
  const product = randomProduct(rows, inputs, outputs);

  it('is the product, but for the rounding of x', () => expectWithinRounding(product));

  it('adds to what is there', () => {
    const before = normal(rows * outputs, 5);
    const sums = run(product, before);
    const plain = run(product);
    expect(sums).toEqual(plain.map((y, i) => Math.fround(y + before[i])));
  });

  it('a row is the same to the last bit alone and among others', () => {
    const all = run(product);
    const last = rows - 1;
    const alone = run({ ...product, rows: 1, x: product.x.subarray(last * inputs) });
    expect(alone).toEqual(all.subarray(last * outputs));
  });
});

describe.each([16, 256, 512, 1024, 3072, 4096])('the largest sums of %i inputs fit in int32', (inputs) => {
  it.each([
    [1, 127],
    [-1, 127],
    [1, -127],
    [1, -128],
    [-1, -128],
  ])('activations of %f, weights of %i', (activation, weight) => {
    const product = randomProduct(2, inputs, 8);
    product.x.fill(activation);
    product.w.fill(weight);
    expectWithinRounding(product);
  });
});

describe('rows that are no ordinary ones', () => {
  const product = (values: number[]): Product => {
    const x = normal(3 * 16, 1);
    x.set(values, 16);
    return { ...randomProduct(3, 16, 8), x };
  };

  it('of zeros', () => expectWithinRounding(product(Array(16).fill(0))));
  it('of numbers too small to be inverted', () => expectWithinRounding(product(Array(16).fill(1e-40))));
  it('of large numbers', () => expectWithinRounding(product(Array(16).fill(1e30))));
  it('with one outlier', () => expectWithinRounding(product([1e6, ...Array(15).fill(1)])));

  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('%f comes through, in its row', (x) => {
    const y = run(product([...Array(15).fill(1), x]));
    expect(Array.from(y.subarray(8, 16)).some(Number.isFinite)).toBe(false);
    expect([...y.subarray(0, 8), ...y.subarray(16)].every(Number.isFinite)).toBe(true);
  });
});
