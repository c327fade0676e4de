/** A PNG's unfiltered row of any colour type and depth → 8-bit RGB. Source: PNG specification (third edition) §6, §13. */
import { CHANNELS, type PngHeader } from './png-rows.ts';

/** 8-bit R, G, B at `data[x * step]` and the two bytes after it. */
export interface RgbRow {
  data: Uint8Array;
  step: number;
}

/**
 * → turns an unfiltered row into RGB: the row itself where it has that layout, otherwise a buffer that the next call
 * reuses. 16 bits keep their high byte, alpha is dropped, `palette` is [256, 3].
 */
export function createRgbRows(header: PngHeader, palette: Uint8Array): (row: Uint8Array, width: number) => RgbRow {
  const { depth, colourType } = header;
  const channels = CHANNELS[colourType];
  if (depth === 8 && channels >= 3) return (row) => ({ data: row, step: channels });
  const rgb = new Uint8Array(header.width * 3);
  const colours = colourType === 3 ? palette : greys(depth);
  const perSample = depth >> 3;
  return (row, width) => {
    if (channels >= 3) pickSamples(row, { rgb, width, samples: [0, 2, 4], step: channels * 2 });
    else if (depth < 8) unpackBits(row, { rgb, width, depth, colours });
    else if (colourType === 3) lookUp(row, { rgb, width, colours });
    else pickSamples(row, { rgb, width, samples: [0, 0, 0], step: channels * perSample });
    return { data: rgb, step: 3 };
  };
}

/** [2 ** depth, 3]: the grey values of 1, 2 and 4 bits, spread over 0 to 255. */
function greys(depth: number): Uint8Array {
  if (depth >= 8) return new Uint8Array(0);
  const most = 2 ** depth - 1;
  return Uint8Array.from({ length: (most + 1) * 3 }, (_, i) => (Math.floor(i / 3) * 255) / most);
}

/** `rgb` is written; `samples` are the places of R, G and B in a pixel of `step` bytes. */
function pickSamples(
  row: Uint8Array,
  { rgb, width, samples, step }: { rgb: Uint8Array; width: number; samples: number[]; step: number },
): void {
  const [red, green, blue] = samples;
  for (let from = 0, to = 0; to < width * 3; from += step, to += 3) {
    rgb[to] = row[from + red];
    rgb[to + 1] = row[from + green];
    rgb[to + 2] = row[from + blue];
  }
}

interface Indexed {
  rgb: Uint8Array;
  width: number;
  colours: Uint8Array;
}

function lookUp(row: Uint8Array, { rgb, width, colours }: Indexed): void {
  for (let x = 0, to = 0; x < width; x++, to += 3) {
    const colour = row[x] * 3;
    rgb[to] = colours[colour];
    rgb[to + 1] = colours[colour + 1];
    rgb[to + 2] = colours[colour + 2];
  }
}

function unpackBits(row: Uint8Array, { rgb, width, colours, depth }: Indexed & { depth: number }): void {
  const mask = 2 ** depth - 1;
  for (let x = 0, to = 0; x < width; x++, to += 3) {
    const bit = x * depth;
    const colour = ((row[bit >> 3] >> (8 - depth - (bit & 7))) & mask) * 3;
    rgb[to] = colours[colour];
    rgb[to + 1] = colours[colour + 1];
    rgb[to + 2] = colours[colour + 2];
  }
}
