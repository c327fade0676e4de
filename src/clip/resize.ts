/**
 * Pillow's antialiased resampling (Resample.c), bit for bit: two passes over 8-bit values with 22-bit fixed-point
 * coefficients, horizontal first. It takes the source row by row and keeps only what the crop needs:
 * [rows that the crop reaches, crop width, 3] bytes.
 * (Pillow 13 goes vertically first where the height shrinks much more than the width, which squashing a tall picture does;
 * the Pillows that checkpoints were trained with do not, and rows come as they come. It is a matter of 1 in 255.)
 */
import { ClipError } from './errors.ts';
import type { RowSink } from './pixels.ts';

export type Interpolation = 'bicubic' | 'bilinear';

/** One axis: of `from` source pixels the stretch `[offset, offset + extent)` becomes `to` pixels, of which `length` are wanted. */
export interface Axis {
  from: number;
  /** Fractional where the source was reduced before and its last pixel stands for less than a whole one (Pillow's `box`). */
  offset: number;
  extent: number;
  to: number;
  /** the first wanted pixel of `to` */
  start: number;
  length: number;
}

interface Filter {
  support: number;
  weight: (x: number) => number;
}

const FILTERS: Record<Interpolation, Filter> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  // Keys' cubic with a = −0.5, written as Pillow evaluates it
  bicubic: {
    support: 2,
    weight: (signed) => {
      const x = Math.abs(signed);
      if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0;
    },
  },
};

const PRECISION_BITS = 22;
const HALF = 1 << (PRECISION_BITS - 1);

/** What each wanted pixel of an axis is made of: `count[i]` source pixels from `first[i]` on, by `weights[i * stride …]`. */
interface Coefficients {
  first: Int32Array;
  count: Int32Array;
  weights: Int32Array;
  stride: number;
}

/** Resample.c `precompute_coeffs` and `normalize_coeffs_8bpc`, for the wanted pixels only. */
function coefficients(axis: Axis, filter: Filter): Coefficients {
  const scale = axis.extent / axis.to;
  const stretch = Math.max(scale, 1); // antialiasing: the filter widens when shrinking, never narrows
  const support = filter.support * stretch;
  const stride = Math.ceil(support) * 2 + 1;
  const first = new Int32Array(axis.length);
  const count = new Int32Array(axis.length);
  const weights = new Int32Array(axis.length * stride);
  const exact = new Float64Array(stride);
  for (let i = 0; i < axis.length; i++) {
    const centre = axis.offset + (i + axis.start + 0.5) * scale;
    first[i] = Math.max(0, Math.trunc(centre - support + 0.5));
    count[i] = Math.min(axis.from, Math.trunc(centre + support + 0.5)) - first[i];
    let sum = 0;
    for (let k = 0; k < count[i]; k++) sum += exact[k] = filter.weight((k + first[i] - centre + 0.5) * (1 / stretch));
    for (let k = 0; k < count[i]; k++) {
      const fixed = (sum !== 0 ? exact[k] / sum : exact[k]) * (1 << PRECISION_BITS);
      weights[i * stride + k] = Math.trunc(fixed < 0 ? fixed - 0.5 : fixed + 0.5);
    }
  }
  return { first, count, weights, stride };
}

const clip8 = (fixed: number) => Math.max(0, Math.min(255, fixed >> PRECISION_BITS));

export interface Resizer extends RowSink {
  /** @returns [height, width, 3], or null while rows are missing */
  pixels(): Uint8Array | null;
}

/** Pillow leaves an axis alone whose size does not change: then its pixels are copied, not filtered. */
const unchanged = (axis: Axis) => axis.from === axis.to && axis.extent === axis.to;

/** @param across the horizontal axis, @param down the vertical one */
export function createResizer(across: Axis, down: Axis, interpolation: Interpolation): Resizer {
  const filter = FILTERS[interpolation];
  const columns = coefficients(across, filter);
  const lines = coefficients(down, filter);
  const last = down.length - 1;
  const top = unchanged(down) ? down.start : lines.first[0];
  const bottom = unchanged(down) ? down.start + down.length : lines.first[last] + lines.count[last];
  const rowBytes = across.length * 3;
  checkBytes((bottom - top) * rowBytes, across, down);
  const narrowed = new Uint8Array((bottom - top) * rowBytes);
  const narrow = unchanged(across) ? copyColumns : resizeColumns;
  let y = 0;
  return {
    row(data, offset, step) {
      if (y >= top && y < bottom) {
        narrow({ data, offset, step }, { out: narrowed, at: (y - top) * rowBytes }, { across, columns });
      }
      y++;
    },
    pixels() {
      if (y < down.from) return null;
      return unchanged(down) ? narrowed : resizeLines(narrowed, lines, { top, rowBytes });
    },
  };
}

/** Rows of a tall picture that is to be squashed: 16 MiB are 25,000 of them at a width of 224. */
const MAX_BYTES = 16 * 1024 * 1024;

function checkBytes(bytes: number, across: Axis, down: Axis): void {
  if (bytes <= MAX_BYTES) return;
  throw new ClipError(
    'image_too_large',
    `Resizing ${across.from} x ${down.from} pixels takes ${bytes} bytes, at most ${MAX_BYTES} are given; send a less elongated picture.`,
  );
}

interface SourceRow {
  data: Uint8Array;
  offset: number;
  step: number;
}

interface Horizontal {
  across: Axis;
  columns: Coefficients;
}

function copyColumns({ data, offset, step }: SourceRow, to: { out: Uint8Array; at: number }, { across }: Horizontal) {
  let { at } = to;
  for (let x = 0, from = offset + across.start * step; x < across.length; x++, from += step) {
    to.out[at++] = data[from];
    to.out[at++] = data[from + 1];
    to.out[at++] = data[from + 2];
  }
}

function resizeColumns(
  { data, offset, step }: SourceRow,
  to: { out: Uint8Array; at: number },
  { columns }: Horizontal,
) {
  const { first, count, weights, stride } = columns;
  const { out } = to;
  let { at } = to;
  for (let x = 0; x < first.length; x++) {
    let red = HALF;
    let green = HALF;
    let blue = HALF;
    let from = offset + first[x] * step;
    const end = x * stride + count[x];
    for (let k = x * stride; k < end; k++, from += step) {
      const weight = weights[k];
      red += data[from] * weight;
      green += data[from + 1] * weight;
      blue += data[from + 2] * weight;
    }
    out[at++] = clip8(red);
    out[at++] = clip8(green);
    out[at++] = clip8(blue);
  }
}

function resizeLines(rows: Uint8Array, lines: Coefficients, { top, rowBytes }: { top: number; rowBytes: number }) {
  const { first, count, weights, stride } = lines;
  const out = new Uint8Array(first.length * rowBytes);
  const sums = new Int32Array(rowBytes); // Σ|weight| · 255 stays below 2³¹: weights sum to 2²², their absolute values to < 1.3 times that
  for (let y = 0; y < first.length; y++) {
    sums.fill(HALF);
    let from = (first[y] - top) * rowBytes;
    for (let k = y * stride; k < y * stride + count[y]; k++) {
      const weight = weights[k];
      for (let x = 0; x < rowBytes; x++) sums[x] += rows[from++] * weight;
    }
    for (let x = 0; x < rowBytes; x++) out[y * rowBytes + x] = clip8(sums[x]);
  }
  return out;
}
