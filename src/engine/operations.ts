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

/** Addresses of int8 panels [outputs / 8][inputs / 2][8][2], scales and bias [outputs]. */
export interface Linear {
  weight: number;
  scale: number;
  bias: number;
  inputs: number;
  outputs: number;
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
});

export interface Scratch {
  /** for `rows` × `inputs` int16, padded */
  packed: number;
  /** [rows] */
  scales: number;
}

export function createOperations(
  kernels: Kernels,
  { activation, layerNormEps }: Pick<TransformerArchitecture, 'activation' | 'layerNormEps'>,
  { packed, scales }: Scratch,
) {
  const activate = { quick_gelu: kernels.quickGelu, gelu: kernels.gelu, gelu_tanh: kernels.geluTanh }[activation];
  const product = (x: Matrix, linear: Linear, y: Matrix, add: boolean) => {
    const blocks = Math.ceil(x.rows / 4);
    const { weight, scale, bias, inputs, outputs } = linear;
    kernels.quantise(x.at, x.stride, blocks, Math.min(x.columns, padInputs(inputs)), packed, scales);
    kernels.linear(packed, scales, x.rows, padInputs(inputs), weight, scale, bias, outputs / 8, y.at, y.stride, add);
  };
  return {
    /** y = x · Wᵀ + bias */
    linear: (x: Matrix, linear: Linear, y: Matrix) => product(x, linear, y, false),
    /** y += x · Wᵀ + bias */
    addLinear: (x: Matrix, linear: Linear, y: Matrix) => product(x, linear, y, true),
    /** y may be x. */
    layerNorm: (x: Matrix, { weight, bias }: Norm, y: Matrix) =>
      kernels.layerNorm(x.at, x.stride, x.rows, x.columns, weight, bias, layerNormEps, y.at, y.stride),
    /** In place. */
    activate: (x: Matrix) => {
      for (let row = 0; row < x.rows; row++) activate(x.at + row * x.stride, x.columns);
    },
  };
}

export type Operations = ReturnType<typeof createOperations>;
