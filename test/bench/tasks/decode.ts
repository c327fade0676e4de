/** A picture from its file to pixel values, as the API does it. */
import { createPreprocessor } from '../../../src/clip/preprocess.ts';
import { createImageDecoder } from '../../../src/runtime/decode-image.ts';
import { type Context, sample } from './context.ts';
import { wasmBytes } from './wasm-memory.ts';

const decodeImage = createImageDecoder();

/** Decodes, resizes and normalises the held file. With `runs` 0 it is done once, untimed. */
export async function decode({ held, manifest }: Context, { runs }: { runs: number }) {
  const ms = await sample(runs, async () => {
    const preprocessor = createPreprocessor(manifest.image);
    await decodeImage(held, preprocessor.request);
    preprocessor.pixelValues();
  });
  return { ms, wasmBytes: wasmBytes('decoder') };
}
