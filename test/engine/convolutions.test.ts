/** Convolutions in strips, and what else a ResNet is made of, against plain loops in float64. */
import { describe, expect, it } from 'vitest';
import { createConvolutions, mapAt, planStrips } from '../../src/engine/convolutions.ts';
import { roomFor } from '../../src/engine/operations.ts';
import { createWorkbench, normal, pack, weights } from './workbench.ts';

/** [outputs][y, x, channel] or [outputs][channel], as whole numbers times SCALE. */
const SCALE = 1e-3;
const OUTPUTS = 16;
/** Rounding moves an output less, a wrong pixel more. */
const TOLERANCE = 2e-3;

interface Given {
  side: number;
  channels: number;
  neighbours: boolean;
}

function setUp({ side, channels, neighbours }: Given) {
  const bench = createWorkbench();
  const { kernels, take, put } = bench;
  const inputs = neighbours ? 9 * channels : channels;
  const [x, w, bias] = [normal(side ** 2 * channels, 1), weights(OUTPUTS * inputs, 2), normal(OUTPUTS, 3)];
  const strips = planStrips({ take }, [
    { rows: side ** 2, inputs },
    { rows: side ** 2, inputs, pooled: { side, outputs: OUTPUTS } },
  ]);
  const convolution = {
    weight: put(pack({ inputs, outputs: OUTPUTS, w })),
    scale: put(new Float32Array(OUTPUTS).fill(SCALE)),
    bias: put(bias),
    inputs,
    outputs: OUTPUTS,
  };
  const room = (channels: number) => take(roomFor(side ** 2) * channels * 4);
  const map = mapAt(room(channels), side, channels);
  new Float32Array(kernels.memory.buffer, map.at).set(x);
  const convolutions = createConvolutions(kernels, strips);
  return { ...bench, ...convolutions, convolution, map, room, x, w, bias };
}

/** @returns the sum of one pixel's neighbourhood, or of the pixel alone */
function sumAt({ side, channels, neighbours }: Given, { x, w }: { x: Float32Array; w: Int8Array }) {
  const offsets = neighbours ? [-1, 0, 1] : [0];
  return (output: number, cy: number, cx: number): number => {
    let [sum, k] = [0, output * channels * offsets.length ** 2];
    for (const dy of offsets) {
      for (const dx of offsets) {
        const [row, column] = [cy + dy, cx + dx];
        const inside = row >= 0 && row < side && column >= 0 && column < side;
        for (let c = 0; c < channels; c++, k++) {
          if (inside) sum += w[k] * SCALE * x[(row * side + column) * channels + c];
        }
      }
    }
    return sum;
  };
}

function expectClose(found: Float32Array, expected: (i: number) => number): void {
  for (const [i, value] of found.entries()) {
    if (!(Math.abs(value - expected(i)) < TOLERANCE)) expect.fail(`[${i}] is ${value}, not ${expected(i)}`);
  }
}

// 67² pixels of 24 channels are more than one strip, whose last is no multiple of 4
const SIDES = [1, 2, 3, 8, 33, 67];

describe.each([3, 8, 24])('neighbourhoods of %i channels', (channels) => {
  it.each(SIDES.flatMap((side) => [1, 2].map((step) => [side, step])))('%i pixels a side, every %i', (side, step) => {
    const given = { side, channels, neighbours: true };
    const bench = setUp(given);
    const across = Math.ceil(side / step);
    const y = mapAt(bench.room(OUTPUTS), across, OUTPUTS);
    bench.neighbours(bench.map, bench.convolution, y, step);
    const sum = sumAt(given, bench);
    expectClose(bench.floats(y.at, across ** 2 * OUTPUTS), (i) => {
      const [pixel, output] = [Math.floor(i / OUTPUTS), i % OUTPUTS];
      const at = [Math.floor(pixel / across) * step, (pixel % across) * step] as const;
      return Math.max(0, bench.bias[output] + sum(output, ...at));
    });
  });
});

describe.each([8, 24])('neighbourhoods of %i channels, pooled strip by strip', (channels) => {
  it.each([2, 3, 8, 33, 67, 122])('%i pixels a side', (side) => {
    const { neighbours, poolNeighbours, pool, convolution, map, room, floats } = setUp({
      side,
      channels,
      neighbours: true,
    });
    const whole = mapAt(room(OUTPUTS), side, OUTPUTS);
    neighbours(map, convolution, whole);
    const expected = pool(whole, room(OUTPUTS));
    const found = mapAt(room(OUTPUTS), Math.floor(side / 2), OUTPUTS);
    poolNeighbours(map, convolution, found);
    expect(floats(found.at, found.rows * OUTPUTS)).toEqual(floats(expected.at, found.rows * OUTPUTS));
  });
});

describe.each([8, 264])('pixels of %i channels', (channels) => {
  const sides = SIDES.filter((side) => side * side * channels * 4 < 6e6);

  it.each(sides)('%i pixels a side: alone, without relu, and added to what is there', (side) => {
    const given = { side, channels, neighbours: false };
    const bench = setUp(given);
    const count = side ** 2 * OUTPUTS;
    const sum = sumAt(given, bench);
    const product = (i: number) => {
      const pixel = Math.floor(i / OUTPUTS);
      return bench.bias[i % OUTPUTS] + sum(i % OUTPUTS, Math.floor(pixel / side), pixel % side);
    };
    const y = mapAt(bench.room(OUTPUTS), side, OUTPUTS);
    bench.linear(bench.map, bench.convolution, y);
    expectClose(bench.floats(y.at, count), product);
    bench.pointwise(bench.map, bench.convolution, y);
    expectClose(bench.floats(y.at, count), (i) => Math.max(0, product(i)));
    const before = normal(count, 9);
    new Float32Array(bench.kernels.memory.buffer, y.at).set(before);
    bench.addPointwise(bench.map, bench.convolution, y);
    expectClose(bench.floats(y.at, count), (i) => Math.max(0, before[i] + product(i)));
  });
});

it('a strip is shorter than the largest of these maps, and no longer than memory allows', () => {
  const sizes: number[] = [];
  const take = (bytes: number) => sizes.push(bytes);
  planStrips({ take }, [{ rows: 67 ** 2, inputs: 9 * 24 }]);
  expect(sizes[0]).toBeLessThan(67 ** 2 * 9 * 24 * 4);
  sizes.length = 0;
  planStrips({ take }, [
    { rows: 1e6, inputs: 27 },
    { rows: 49, inputs: 9 * 512 },
  ]);
  expect(sizes.reduce((a, b) => a + b)).toBeLessThan(2 ** 20);
});

describe.each([2, 3, 8, 9])('the mean of 2 × 2 pixels, of %i a side', (side) => {
  it.each([true, false])('in place: %s', (inPlace) => {
    const { map, pool, x, room, floats } = setUp({ side, channels: 24, neighbours: false });
    const pooled = pool(map, inPlace ? map.at : room(24));
    const half = Math.floor(side / 2);
    expect(pooled).toMatchObject({ side: half, rows: half ** 2, columns: 24 });
    const found = floats(pooled.at, half ** 2 * 24);
    for (const [i, value] of found.entries()) {
      const [pixel, c] = [Math.floor(i / 24), i % 24];
      const corner = 2 * Math.floor(pixel / half) * side + 2 * (pixel % half);
      const four = [corner, corner + 1, corner + side, corner + side + 1].map((at) => x[at * 24 + c]);
      expect(value).toBeCloseTo(four.reduce((a, b) => a + b) / 4, 6);
    }
  });
});

it('relu keeps no negative number, and hides none that is not finite', () => {
  const { kernels, put, floats } = createWorkbench();
  const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];
  const at = put(Float32Array.of(-3, -0, 0, 1e-40, 3e38, -3e38, 1, -1e-40, nan, inf, -inf, -nan));
  kernels.relu(at, 12);
  const found = Array.from(floats(at, 12));
  expect(found.slice(0, 8).map(Math.abs)).toEqual([0, 0, 0, Math.fround(1e-40), Math.fround(3e38), 0, 1, 0]);
  expect(found.slice(8)).toEqual([nan, nan, nan, nan]);
});

it.each([
  [1, 8],
  [4, 24],
  [49, 64],
])('the mean of %i rows of %i and the rows, with positions', (rows, width) => {
  const { kernels, put, take, floats } = createWorkbench();
  const [x, positions] = [normal(rows * width, 1), normal((rows + 1) * width, 2)];
  const y = take((rows + 1) * width * 4);
  kernels.meanAndRows(put(x), rows, width, put(positions), y);
  const found = floats(y, (rows + 1) * width);
  for (let c = 0; c < width; c++) {
    const mean = Array.from({ length: rows }, (_, row) => x[row * width + c]).reduce((a, b) => a + b) / rows;
    expect(found[c]).toBeCloseTo(mean + positions[c], 5);
  }
  expect(found.slice(width)).toEqual(x.map((value, i) => value + positions[width + i]));
});
