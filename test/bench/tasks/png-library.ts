/** A PNG to pixels: our reader, which goes row by row, against @jsquash/png (Rust's `png`). */

// @ts-expect-error its own declaration describes the instance, not the module that workerd gives
import libraryWasm from '@jsquash/png/codec/pkg/squoosh_png_bg.wasm';
import libraryDecode, { init } from '@jsquash/png/decode';
import { createImageDecoder } from '../../../src/runtime/decode-image.ts';
import { type ContestOptions, type Context, sampleContest } from './context.ts';
import { readPixels } from './read-pixels.ts';

const decodeImage = createImageDecoder();
const request = { minShortSide: Number.POSITIVE_INFINITY, open: () => ({ row() {} }) };

export async function decodePng({ held }: Context, options: ContestOptions) {
  if (options.only !== 'ours') await init(libraryWasm);
  return sampleContest({ ours: () => decodeImage(held, request), library: () => libraryDecode(held.buffer) }, options);
}

/** How far the 8-bit pixels of a held 16-bit PNG are from the high bytes of its samples, which is what PIL gives. */
export async function pngPixels({ held }: Context) {
  await init(libraryWasm);
  const samples = await libraryDecode(held.buffer, { bitDepth: 16 });
  const truth = Uint8Array.from(samples.data, (sample) => sample >> 8);
  const { data: ours } = await readPixels(held);
  const { data: library } = await libraryDecode(held.buffer);
  return { ours: maxDifference(truth, ours), library: maxDifference(truth, library) };
}

/** Of R, G and B; both [pixels, 4]. */
function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < a.length; i++) if (i % 4 < 3) max = Math.max(max, Math.abs(a[i] - b[i]));
  return max;
}
