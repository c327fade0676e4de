import { ClipError } from '../../src/clip/errors.ts';
import type { DecodeImage } from '../../src/clip/pixels.ts';
import { createImageDecoder } from '../../src/runtime/decode-image.ts';

export interface Collected {
  width: number;
  height: number;
  /** [height, width, 3] */
  rgb: Uint8Array;
}

interface Options {
  decode?: DecodeImage;
  minShortSide?: number;
}

/** Decodes into one RGB buffer, and checks that every row comes once. */
export async function collectRows(bytes: Uint8Array, options: Options = {}): Promise<Collected> {
  const { decode = createImageDecoder(), minShortSide = Number.POSITIVE_INFINITY } = options;
  let collected: Collected | undefined;
  let rows = 0;
  await decode(bytes, {
    minShortSide,
    open(width, height) {
      const rgb = new Uint8Array(width * height * 3);
      collected = { width, height, rgb };
      return {
        row(data, offset, step) {
          for (let x = 0; x < width; x++) {
            for (let c = 0; c < 3; c++) rgb[(rows * width + x) * 3 + c] = data[offset + x * step + c];
          }
          rows += 1;
        },
      };
    },
  });
  if (!collected || rows !== collected.height) throw new Error(`${rows} rows of ${collected?.height}`);
  return collected;
}

/** → the error's code and message; 'decoded' if there was none. What is no ClipError is thrown on. */
export async function failureOf(bytes: Uint8Array, options: Options = {}): Promise<{ code: string; message: string }> {
  try {
    await collectRows(bytes, options);
    return { code: 'decoded', message: '' };
  } catch (error) {
    if (!(error instanceof ClipError)) throw error;
    return error;
  }
}

/** [height, width, 3]: gradients with some noise from a fixed seed, so that no two rows or columns are alike. */
export function testPattern(width: number, height: number): Buffer {
  const random = createRandom(width * 31 + height);
  const rgb = Buffer.alloc(width * height * 3);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      rgb[i++] = (x * 255) / width;
      rgb[i++] = (y * 255) / height;
      rgb[i++] = random() * 256;
    }
  }
  return rgb;
}

/** → numbers in [0, 1), the same ones for the same seed. */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x80000000;
  };
}

/** What `ImageOps.exif_transpose` makes of a picture, written the slow and plain way: source of each upright pixel. */
export function transposed({ width, height, rgb }: Collected, orientation: number): Collected {
  const [w, h] = orientation >= 5 ? [height, width] : [width, height];
  const [right, bottom] = [width - 1, height - 1];
  const out = new Uint8Array(rgb.length);
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      const from = {
        1: [x, y],
        2: [right - x, y],
        3: [right - x, bottom - y],
        4: [x, bottom - y],
        5: [y, x],
        6: [y, bottom - x],
        7: [right - y, bottom - x],
        8: [right - y, x],
      }[orientation] as number[];
      const at = (from[1] * width + from[0]) * 3;
      out.set(rgb.subarray(at, at + 3), (y * w + x) * 3);
    }
  }
  return { width: w, height: h, rgb: out };
}

/** A TIFF block whose only entry is the orientation. */
export function exifBlock(orientation: number, little: boolean): Uint8Array {
  const block = new DataView(new ArrayBuffer(26));
  block.setUint16(0, little ? 0x4949 : 0x4d4d);
  block.setUint16(2, 42, little);
  block.setUint32(4, 8, little);
  block.setUint16(8, 1, little);
  block.setUint16(10, 0x0112, little);
  block.setUint16(12, 3, little);
  block.setUint32(14, 1, little);
  block.setUint16(18, orientation, little);
  return new Uint8Array(block.buffer);
}
