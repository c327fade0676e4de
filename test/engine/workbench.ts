/** Arrays in and out of the kernels' memory. */

import relaxed from '../../build/engine.wasm';
import plain from '../../build/engine-plain.wasm';
import type { KernelBuild, Kernels } from '../../src/engine/kernels.ts';
import { padInputs } from '../../src/engine/tensors.ts';
import { createRandom } from '../bench/random.ts';

const BYTES = 16 * 2 ** 20;

const BUILDS = { relaxed, plain };

export function createWorkbench(build: KernelBuild = 'relaxed') {
  const kernels = new WebAssembly.Instance(BUILDS[build]).exports as unknown as Kernels;
  kernels.memory.grow(BYTES / 65536);
  const { buffer } = kernels.memory;
  let free = Math.ceil(kernels.heapBase.value / 64) * 64;
  /** @returns the address of so many bytes, filled with 0xff: NaN as float32, so that nothing counts on zeros */
  const take = (bytes: number): number => {
    const at = free;
    free += Math.ceil(bytes / 64) * 64;
    new Uint8Array(buffer, at, bytes).fill(0xff);
    return at;
  };
  return {
    kernels,
    take,
    put(values: Float32Array | Int8Array | Int32Array): number {
      const at = take(values.byteLength);
      new Uint8Array(buffer, at).set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      return at;
    },
    floats: (at: number, count: number) => new Float32Array(buffer.slice(at, at + count * 4)),
  };
}

/** y = x · Wᵀ + bias: what a kernel is given, before it is packed. */
export interface Product {
  rows: number;
  inputs: number;
  outputs: number;
  /** [rows, inputs] */
  x: Float32Array;
  /** [outputs, inputs] */
  w: Int8Array;
  /** [outputs] each */
  scale: Float32Array;
  bias: Float32Array;
}

/** [outputs, inputs] → [outputs / 8][padded / 2][8][2], as the exporter packs for the exact product. */
export function pack({ inputs, outputs, w }: Pick<Product, 'inputs' | 'outputs' | 'w'>): Int8Array {
  const padded = padInputs(inputs);
  const panels = new Int8Array(outputs * padded);
  for (let n = 0; n < outputs; n++) {
    for (let k = 0; k < inputs; k++) {
      panels[(n >> 3) * padded * 8 + (k >> 1) * 16 + (n & 7) * 2 + (k & 1)] = w[n * inputs + k];
    }
  }
  return panels;
}

/** Normally distributed (Box and Muller 1958). */
export function normal(count: number, seed: number): Float32Array {
  const random = createRandom(seed);
  const one = () => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Float32Array.from({ length: count }, one);
}

/** Whole numbers −127 … 127. */
export function weights(count: number, seed: number): Int8Array {
  const random = createRandom(seed);
  return Int8Array.from({ length: count }, () => Math.floor(random() * 255) - 127);
}
