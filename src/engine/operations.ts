/** The kernels on matrices: what a Transformer is made of, without addresses in its text. */
import type { TransformerArchitecture } from '../clip/architecture.ts';
import type { Kernels } from './kernels.ts';
import { padInputs } from './tensors.ts';

/** Rows of float32 in the engine's memory. Up to three rows past the last may be read and written: there is room for them. */
export interface Matrix {
  at: number;
  rows: number;
  columns: number;
  /** bytes from row to row */
  stride: number;
}

/** Addresses of int8 panels of 8 outputs (their layout: tensors.ts), scales and bias [outputs]. */
export interface Linear {
  weight: number;
  scale: number;
  bias: number;
  inputs: number;
  outputs: number;
  /** the exact product, if there is none */
  fast?: FastProduct;
}

/** What the fast product needs besides. */
export interface FastProduct {
  /** the address of [groups, all outputs] int32 */
  starts: number;
  /** bytes from group to group */
  startStride: number;
  /** the code of 0 (assembly/fast.ts) */
  zero: number;
}

/** Addresses of [width] each. */
export interface Norm {
  weight: number;
  bias: number;
}

const FLOAT = 4;

/** Rows past the last: a product writes 4 at a time, from any row on, and attention reads keys 8 at a time. */
export const roomFor = (rows: number): number => Math.ceil((rows + 3) / 8) * 8;

export const rowsOf = (m: Matrix, first: number, count: number): Matrix => ({
  ...m,
  at: m.at + first * m.stride,
  rows: count,
});

export const columnsOf = (m: Matrix, first: number, count: number): Matrix => ({
  ...m,
  at: m.at + first * FLOAT,
  columns: count,
});

/** Some of the outputs of a product: `first` and `count` are multiples of 8. */
export const outputsOf = (linear: Linear, first: number, count: number): Linear => ({
  ...linear,
  weight: linear.weight + first * padInputs(linear.inputs),
  scale: linear.scale + first * FLOAT,
  bias: linear.bias + first * FLOAT,
  outputs: count,
  fast: linear.fast && { ...linear.fast, starts: linear.fast.starts + first * FLOAT },
});

export interface Scratch {
  /** for `rows` × `inputs` int16, padded, of the exact product, or uint8 of the fast one */
  packed: number;
  /** [rows, groups of the most inputs] */
  scales: number;
}

/** What all encoders have. */
export function createProducts(kernels: Kernels, { packed, scales }: Scratch) {
  const product = (x: Matrix, { weight, scale, bias, inputs, outputs, fast }: Linear, y: Matrix, add: boolean) => {
    const blocks = Math.ceil(x.rows / 4);
    const rest = [scale, bias, outputs / 8, y.at, y.stride, add] as const;
    if (fast) {
      kernels.quantiseFast(x.at, x.stride, blocks, inputs, fast.zero, packed, scales);
      kernels.linearFast(packed, scales, x.rows, inputs, weight, fast.starts, fast.startStride, ...rest);
    } else {
      kernels.quantise(x.at, x.stride, blocks, Math.min(x.columns, padInputs(inputs)), packed, scales);
      kernels.linear(packed, scales, x.rows, padInputs(inputs), weight, ...rest);
    }
  };
  return {
    /** y = x · Wᵀ + bias */
    linear: (x: Matrix, linear: Linear, y: Matrix) => product(x, linear, y, false),
    /** y += x · Wᵀ + bias */
    addLinear: (x: Matrix, linear: Linear, y: Matrix) => product(x, linear, y, true),
  };
}

export function createOperations(
  kernels: Kernels,
  { activation, layerNormEps }: Pick<TransformerArchitecture, 'activation' | 'layerNormEps'>,
  scratch: Scratch,
) {
  const activate = { quick_gelu: kernels.quickGelu, gelu: kernels.gelu, gelu_tanh: kernels.geluTanh }[activation];
  return {
    ...createProducts(kernels, scratch),
    /** y may be x. */
    layerNorm: (x: Matrix, { weight, bias }: Norm, y: Matrix) =>
      kernels.layerNorm(x.at, x.stride, x.rows, x.columns, weight, bias, layerNormEps, y.at, y.stride),
    /** In place. @param factors the address of [columns], or 0: assembly/activation.ts */
    activate: (x: Matrix, factors: number) => {
      for (let row = 0; row < x.rows; row++) activate(x.at + row * x.stride, x.columns, factors);
    },
  };
}

export type Operations = ReturnType<typeof createOperations>;
