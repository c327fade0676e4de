/**
 * Convolutions as matrix products: a pixel is a row. They run in strips of rows, so that what is packed for a product, and
 * the neighbourhoods that it is packed from, take little memory.
 */
import type { Kernels, MemoryPlan } from './kernels.ts';
import { createProducts, type Linear, type Matrix, roomFor, rowsOf, type Scratch } from './operations.ts';
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

/** Lines of a map that is pooled strip by strip: an even number. */
const stripLines = (side: number, inputs: number): number =>
  2 * Math.max(1, Math.floor(stripRows(inputs) / (2 * side)));

/** The size of what goes into a product. */
export interface ProductInputs {
  rows: number;
  inputs: number;
  /** what comes out of it is pooled: pixels a side, and its channels */
  pooled?: { side: number; outputs: number };
}

/** Addresses of what a strip needs. */
export interface Strips {
  /** its neighbourhoods in float32 */
  patches: number;
  /** what is to be pooled */
  outputs: number;
  scratch: Scratch;
}

/** Room for a strip of any of the products. */
export function planStrips(plan: Pick<MemoryPlan, 'take'>, products: readonly ProductInputs[]): Strips {
  const strips = products.map(({ rows, inputs, pooled }) => {
    const most = pooled ? stripLines(pooled.side, inputs) * pooled.side : stripRows(inputs);
    const room = roomFor(Math.min(rows, most));
    return { rows: room, values: room * padInputs(inputs), outputs: room * (pooled?.outputs ?? 0) };
  });
  const most = (of: 'rows' | 'values' | 'outputs') => Math.max(...strips.map((strip) => strip[of]));
  return {
    patches: plan.take(most('values') * 4),
    outputs: plan.take(most('outputs') * 4),
    scratch: { packed: plan.take(most('values') * 2), scales: plan.take(most('rows') * 4) },
  };
}

export function createConvolutions(kernels: Kernels, { patches, outputs, scratch }: Strips) {
  const products = createProducts(kernels, scratch);
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

  interface Some {
    y: Matrix;
    first: number;
    count: number;
    step: number;
  }

  /** Of the rows of y from `first` on. */
  function someNeighbours(x: PixelMap, convolution: Linear, { y, first, count, step }: Some): void {
    const columns = padInputs(convolution.inputs);
    const strip = { at: patches, rows: count, columns, stride: columns * 4 };
    kernels.gatherNeighbours(x.at, x.side, x.columns, step, first, count, strip.at, strip.stride);
    products.linear(strip, convolution, rowsOf(y, first, count));
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
      inStrips(y.rows, convolution, (first, count) => someNeighbours(x, convolution, { y, first, count, step }));
      relu(y);
    },
    /** y = pool(relu(neighbourhoods of x · Wᵀ + bias)): what is pooled is never there as a whole */
    poolNeighbours(x: PixelMap, convolution: Linear, y: PixelMap): void {
      const lines = stripLines(x.side, convolution.inputs);
      for (let line = 0; line < 2 * y.side; line += lines) {
        const count = Math.min(lines, x.side - line);
        const strip = { ...y, at: outputs, rows: count * x.side };
        const into = { ...strip, at: outputs - line * x.side * y.stride }; // its rows are those of the whole map
        someNeighbours(x, convolution, { y: into, first: line * x.side, count: strip.rows, step: 1 });
        relu(strip);
        kernels.averagePool(outputs, x.side, count, y.columns, rowsOf(y, (line / 2) * y.side, 0).at);
      }
    },
    /** @returns the mean of each 2 × 2 pixels, at `at`, which may be where x is */
    pool(x: PixelMap, at: number): PixelMap {
      kernels.averagePool(x.at, x.side, x.side, x.columns, at);
      return mapAt(at, Math.floor(x.side / 2), x.columns);
    },
  };
}

export type Convolutions = ReturnType<typeof createConvolutions>;
