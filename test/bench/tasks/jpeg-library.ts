/** A JPEG to pixels: our use of libjpeg-turbo against @jsquash/jpeg (mozjpeg). */

import libraryWasm from '@jsquash/jpeg/codec/dec/mozjpeg_dec.wasm';
import libraryDecode, { init } from '@jsquash/jpeg/decode';
import { createPreprocessor } from '../../../src/clip/preprocess.ts';
import { createImageDecoder } from '../../../src/runtime/decode-image.ts';
import { type ContestOptions, type Context, sampleContest } from './context.ts';

const decodeImage = createImageDecoder({ bytes: Number.POSITIVE_INFINITY });
const initLibrary = init as (module: WebAssembly.Module) => Promise<void>; // its types lack the module
const passBy = { row() {} };

/** @param options `reduced`: ours may reduce the picture while it decodes, as far as the model's size allows */
export async function decodeJpeg(
  { held, manifest }: Context,
  { reduced, ...options }: ContestOptions & { reduced: boolean },
) {
  if (options.only !== 'ours') await initLibrary(libraryWasm);
  const { minShortSide } = createPreprocessor(manifest.image).request;
  const request = { minShortSide: reduced ? minShortSide : Number.POSITIVE_INFINITY, open: () => passBy };
  return sampleContest({ ours: () => decodeImage(held, request), library: () => libraryDecode(held.buffer) }, options);
}
