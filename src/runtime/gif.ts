/**
 * GIF, first frame only, as PIL's `convert("RGB")` gives it: the frame lies on its screen, transparent pixels show the
 * colour that the palette has for them.  Source: GIF89a specification.
 */
import type { DecodeRequest } from '../clip/pixels.ts';
import { LZW_TABLE_BYTES, unpackLzw } from './gif-lzw.ts';
import { corrupt, type Picture } from './picture.ts';

interface Frame {
  x: number;
  y: number;
  width: number;
  height: number;
  interlaced: boolean;
  /** [256, 3] 8-bit R, G, B. */
  palette: Uint8Array;
  /** Index that fills the screen around the frame: the transparent one, or 0. */
  background: number;
  /** Where the LZW data begin: the byte with the code size. */
  at: number;
}

/** Reads the screen and everything up to the first frame. Throws `corrupt_image` if there is none. */
export function openGif(bytes: Uint8Array, request: DecodeRequest): Picture {
  const frame = readFirstFrame(bytes);
  // A frame may reach beyond the screen; PIL then enlarges the screen.
  const width = Math.max(u16(bytes, 6), frame.x + frame.width);
  const height = Math.max(u16(bytes, 8), frame.y + frame.height);
  if (!frame.width || !frame.height)
    throw corrupt(`The GIF's first picture is ${frame.width} x ${frame.height} pixels.`);
  return {
    kind: 'GIF',
    width,
    height,
    memory: LZW_TABLE_BYTES + frame.width * frame.height + width * 4,
    decode() {
      const sink = request.open(width, height);
      const indices = unpackLzw(bytes, frame.at, new Uint8Array(frame.width * frame.height).fill(frame.background));
      const line = new Uint8Array(width);
      const rgb = new Uint8Array(width * 3);
      const rowOf = frame.interlaced ? interlacedRows(frame.height) : undefined;
      for (let y = 0; y < height; y++) {
        const row = y - frame.y;
        line.fill(frame.background);
        if (row >= 0 && row < frame.height) {
          const start = (rowOf ? rowOf[row] : row) * frame.width;
          line.set(indices.subarray(start, start + frame.width), frame.x);
        }
        lookUp(line, frame.palette, rgb);
        sink.row(rgb, 0, 3);
      }
    },
  };
}

function readFirstFrame(bytes: Uint8Array): Frame {
  let at = 13;
  let palette = greyRamp();
  if (bytes[10] & 0x80) {
    palette = readPalette(bytes, at, bytes[10]);
    at += paletteBytes(bytes[10]);
  }
  let background = 0;
  while (at < bytes.length && bytes[at] !== 0x3b) {
    const block = bytes[at];
    if (block === 0x2c) return readDescriptor(bytes, at + 1, { palette, background });
    if (block !== 0x21) {
      at += 1; // PIL passes over stray bytes between blocks
      continue;
    }
    if (bytes[at + 1] === 0xf9 && bytes[at + 3] & 1) background = bytes[at + 6];
    at = skipSubBlocks(bytes, at + 2);
  }
  throw corrupt(`The GIF has no picture in its ${bytes.length} bytes.`);
}

function readDescriptor(bytes: Uint8Array, at: number, { palette, background }: Pick<Frame, 'palette' | 'background'>) {
  const flags = bytes[at + 8];
  const local = (flags & 0x80) !== 0;
  const end = at + 9 + (local ? paletteBytes(flags) : 0);
  if (end >= bytes.length) throw endsEarly(bytes);
  return {
    x: u16(bytes, at),
    y: u16(bytes, at + 2),
    width: u16(bytes, at + 4),
    height: u16(bytes, at + 6),
    interlaced: (flags & 0x40) !== 0,
    palette: local ? readPalette(bytes, at + 9, flags) : palette,
    background,
    at: end,
  };
}

function skipSubBlocks(bytes: Uint8Array, at: number): number {
  while (bytes[at]) at += 1 + bytes[at];
  return at + 1;
}

function paletteBytes(flags: number): number {
  return 3 << ((flags & 7) + 1);
}

function greyRamp(): Uint8Array {
  return Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));
}

/** Colours that the file does not give are black; but a palette that is a grey ramp goes on to 255, as in PIL. */
function readPalette(bytes: Uint8Array, at: number, flags: number): Uint8Array {
  const given = bytes.subarray(at, at + paletteBytes(flags));
  const ramp = greyRamp();
  if (given.every((value, i) => value === ramp[i])) return ramp;
  const palette = new Uint8Array(768);
  palette.set(given);
  return palette;
}

/** Interlaced files store every 8th row, then what lies between. → for each row of the picture, its place in the file. */
function interlacedRows(height: number): Uint16Array {
  const places = new Uint16Array(height);
  let place = 0;
  for (const [first, step] of [
    [0, 8],
    [4, 8],
    [2, 4],
    [1, 2],
  ]) {
    for (let y = first; y < height; y += step) places[y] = place++;
  }
  return places;
}

function lookUp(line: Uint8Array, palette: Uint8Array, rgb: Uint8Array): void {
  for (let x = 0, to = 0; x < line.length; x++) {
    const colour = line[x] * 3;
    rgb[to++] = palette[colour];
    rgb[to++] = palette[colour + 1];
    rgb[to++] = palette[colour + 2];
  }
}

function endsEarly(bytes: Uint8Array) {
  return corrupt(`The GIF ends early, after ${bytes.length} bytes: send the whole file.`);
}

function u16(bytes: Uint8Array, at: number): number {
  return bytes[at] | (bytes[at + 1] << 8);
}
