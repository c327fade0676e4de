/**
 * Convolutions as matrix products: a pixel is a row. They run in strips of rows, so that what is packed for a product, and
 * the neighbourhoods that it is packed from, take little memory.
 */
import type { Kernels, MemoryPlan } from './kernels.ts';
import { type Linear, type Matrix, type Products, roomFor, rowsOf, type Scratch } from './operations.ts';
import { padInputs } from './tensors.ts';

/** [side · side, channels]: a pixel a row, line after line. */
export interface PixelMap extends Matrix {
  side: number;
}

export const mapAt = (at: number, side: number, channels: number): PixelMap => ({
  at,
  side,
  rows: side ** 2,
  columns: channels,
  stride: channels * 4,
});

/** The neighbourhoods of a strip, in float32. */
const STRIP_BYTES = 512 * 1024;

/** A multiple of 8: what a product writes past a strip's last row is not yet computed, except after the last strip. */
const stripRows = (inputs: number): number => 8 * Math.max(1, Math.floor(STRIP_BYTES / (padInputs(inputs) * 4 * 8)));

/** The size of what goes into a product. */
export interface ProductInputs {
  rows: number;
  inputs: number;
}

/** Room for a strip of any of the products: its neighbourhoods in float32, and packed. */
export function planStrips(
  plan: Pick<MemoryPlan, 'take'>,
  products: readonly ProductInputs[],
): { patches: number; scratch: Scratch } {
  const strips = products.map(({ rows, inputs }) => ({
    rows: roomFor(Math.min(rows, stripRows(inputs))),
    inputs: padInputs(inputs),
  }));
  const rows = Math.max(...strips.map(({ rows }) => rows));
  const values = Math.max(...strips.map(({ rows, inputs }) => rows * inputs));
  return { patches: plan.take(values * 4), scratch: { packed: plan.take(values * 2), scales: plan.take(rows * 4) } };
}

/** @param patches the address of room for a strip's neighbourhoods */
export function createConvolutions(kernels: Kernels, products: Products, patches: number) {
  const inStrips = (rows: number, { inputs }: Linear, run: (first: number, count: number) => void) => {
    const strip = stripRows(inputs);
    for (let first = 0; first < rows; first += strip) run(first, Math.min(strip, rows - first));
  };
  const relu = ({ at, rows, columns }: Matrix) => kernels.relu(at, rows * columns);

  /** y = x · Wᵀ + bias */
  function linear(x: Matrix, convolution: Linear, y: Matrix): void {
    inStrips(x.rows, convolution, (first, count) =>
      products.linear(rowsOf(x, first, count), convolution, rowsOf(y, first, count)),
    );
  }

  return {
    linear,
    /** y = relu(x · Wᵀ + bias) */
    pointwise(x: PixelMap, convolution: Linear, y: PixelMap): void {
      linear(x, convolution, y);
      relu(y);
    },
    /** y = relu(y + x · Wᵀ + bias) */
    addPointwise(x: PixelMap, convolution: Linear, y: PixelMap): void {
      inStrips(x.rows, convolution, (first, count) =>
        products.addLinear(rowsOf(x, first, count), convolution, rowsOf(y, first, count)),
      );
      relu(y);
    },
    /** y = relu(neighbourhoods of x · Wᵀ + bias), of every `step`-th pixel across and down */
    neighbours(x: PixelMap, convolution: Linear, y: PixelMap, step = 1): void {
      const columns = padInputs(convolution.inputs);
      inStrips(y.rows, convolution, (first, count) => {
        const strip = { at: patches, rows: count, columns, stride: columns * 4 };
        kernels.gatherNeighbours(x.at, x.side, x.columns, step, first, count, strip.at, strip.stride);
        products.linear(strip, convolution, rowsOf(y, first, count));
      });
      relu(y);
    },
    /** @returns the mean of each 2 × 2 pixels, at `at`, which may be where x is */
    pool(x: PixelMap, at: number): PixelMap {
      kernels.averagePool(x.at, x.side, x.columns, at);
      return mapAt(at, Math.floor(x.side / 2), x.columns);
    },
  };
}

export type Convolutions = ReturnType<typeof createConvolutions>;
