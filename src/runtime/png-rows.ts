/**
 * A PNG's rows: inflated bytes in, unfiltered rows out. Knows nothing of chunks and colours. Source: PNG specification
 * (third edition) §7 to §9.
 */
import { corrupt } from './picture.ts';

export interface PngHeader {
  width: number;
  height: number;
  /** Bits per sample: 1, 2, 4, 8, 16. */
  depth: number;
  /** 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha. */
  colourType: number;
  interlaced: boolean;
}

/** One of the (interlaced: seven) pictures in the stream: its pixel (x, y) is the whole one's (left + x * dx, top + y * dy). */
export interface Pass {
  left: number;
  top: number;
  dx: number;
  dy: number;
  width: number;
  height: number;
}

/** Samples of a pixel by colour type. */
export const CHANNELS: Record<number, number> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** Adam7: left, top, dx, dy. */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
];

/** Passes without pixels are left out, as in the stream. */
export function passesOf({ width, height, interlaced }: PngHeader): Pass[] {
  return (interlaced ? ADAM7 : [[0, 0, 1, 1]])
    .map(([left, top, dx, dy]) => {
      return { left, top, dx, dy, width: Math.ceil((width - left) / dx), height: Math.ceil((height - top) / dy) };
    })
    .filter((pass) => pass.width > 0 && pass.height > 0);
}

/** Bytes of a row of `width` pixels, without its filter byte. */
export function rowBytes({ depth, colourType }: PngHeader, width: number): number {
  return Math.ceil((width * depth * CHANNELS[colourType]) / 8);
}

/**
 * Puts inflated bytes together to rows and undoes their filters. `emit` gets each row (borrowed for the call) with its
 * pass and its y in it. → takes the next bytes; answers true once the last row was emitted, and ignores what follows.
 */
export function createRowAssembler(
  header: PngHeader,
  emit: (row: Uint8Array, pass: Pass, y: number) => void,
): (inflated: Uint8Array) => boolean {
  const pixelBytes = Math.max(1, (header.depth * CHANNELS[header.colourType]) >> 3);
  const passes = passesOf(header);
  let current = new Uint8Array(0);
  let previous = current;
  let [pass, y] = [-1, 0];
  let filled = 0; // bytes of the row, the filter byte included
  let filter = 0;

  const nextPass = () => {
    pass += 1;
    y = 0;
    if (pass === passes.length) return;
    current = new Uint8Array(rowBytes(header, passes[pass].width));
    previous = new Uint8Array(current.length);
  };
  const finishRow = () => {
    unfilter(filter, { current, previous, pixelBytes });
    emit(current, passes[pass], y);
    [current, previous] = [previous, current];
    filled = 0;
    y += 1;
    if (y === passes[pass].height) nextPass();
  };

  nextPass();
  return (inflated) => {
    for (let at = 0; at < inflated.length && pass < passes.length; ) {
      if (filled === 0) {
        filter = inflated[at++];
        filled = 1;
      }
      const part = inflated.subarray(at, at + current.length + 1 - filled);
      current.set(part, filled - 1);
      filled += part.length;
      at += part.length;
      if (filled === current.length + 1) finishRow();
    }
    return pass === passes.length;
  };
}

interface FilterRows {
  current: Uint8Array;
  previous: Uint8Array;
  pixelBytes: number;
}

/** In place. The sums wrap at 256, as a Uint8Array does by itself. */
function unfilter(filter: number, { current, previous, pixelBytes }: FilterRows): void {
  const length = current.length;
  switch (filter) {
    case 0:
      return;
    case 1:
      for (let i = pixelBytes; i < length; i++) current[i] += current[i - pixelBytes];
      return;
    case 2:
      for (let i = 0; i < length; i++) current[i] += previous[i];
      return;
    case 3:
      for (let i = 0; i < pixelBytes; i++) current[i] += previous[i] >> 1;
      for (let i = pixelBytes; i < length; i++) current[i] += (current[i - pixelBytes] + previous[i]) >> 1;
      return;
    case 4:
      for (let i = 0; i < pixelBytes; i++) current[i] += previous[i];
      unfilterPaeth({ current, previous, pixelBytes });
      return;
    default:
      throw corrupt(`The PNG is damaged: filter ${filter} does not exist.`);
  }
}

function unfilterPaeth({ current, previous, pixelBytes }: FilterRows): void {
  for (let i = pixelBytes; i < current.length; i++) {
    const left = current[i - pixelBytes];
    const above = previous[i];
    const corner = previous[i - pixelBytes];
    const fromLeft = Math.abs(above - corner);
    const fromAbove = Math.abs(left - corner);
    const fromCorner = Math.abs(above + left - 2 * corner);
    current[i] += fromLeft <= fromAbove && fromLeft <= fromCorner ? left : fromAbove <= fromCorner ? above : corner;
  }
}
