/** A bundle's encoders, each on the runtime that it was exported for. */
import type { ClipImageEncoder, ClipTextEncoder, PixelValues } from '../../../src/clip/encoders.ts';
import { readBundleFile } from '../../../src/runtime/bundle.ts';
import { createEngineImageEncoder, createEngineTextEncoder } from '../../../src/runtime/engine.ts';
import { createOnnxImageEncoder, createOnnxTextEncoder } from '../../../src/runtime/onnx.ts';
import { createRandom } from '../random.ts';
import type { Context } from './context.ts';

export async function loadImageEncoder({ manifestOf, openFile }: Context, id: string): Promise<ClipImageEncoder> {
  const { embeddingDim, image } = await manifestOf(id);
  if (image.runtime === 'engine') return createEngineImageEncoder(openFile, { id, embeddingDim, image });
  const { size, files } = image;
  return createOnnxImageEncoder(await readBundleFile(openFile, id, files), { size, embeddingDim });
}

export async function loadTextEncoder({ manifestOf, openFile }: Context, id: string): Promise<ClipTextEncoder> {
  const { embeddingDim, text } = await manifestOf(id);
  if (!text) throw new Error(`${id} has no text encoder`);
  if (text.runtime === 'engine') return createEngineTextEncoder(openFile, { id, embeddingDim, text });
  return createOnnxTextEncoder(await readBundleFile(openFile, id, text.files), { ...text, embeddingDim });
}

/** Noise, as far spread as pixels are after normalisation. */
export async function noise({ manifestOf }: Context, id: string): Promise<PixelValues> {
  const { size } = (await manifestOf(id)).image;
  const random = createRandom(size);
  return Float32Array.from({ length: 3 * size * size }, () => 4 * random() - 2);
}
