/** What an image costs as models grow, against the bare matrix product of the same model. */
import type { VisionTransformerArchitecture } from '../../../src/clip/architecture.ts';
import { imageTokens } from '../../../src/engine/tensors.ts';
import { type Context, sampleContest } from './context.ts';
import { loadImageEncoder, noise } from './encoders.ts';
import { createProduct } from './product.ts';

/** Multiplications and additions that the engine does for an image: in the last block only the class token goes on. */
function macsOf(architecture: VisionTransformerArchitecture, tokens: number, embeddingDim: number): number {
  const { layers, width, mlp, patch } = architecture;
  const keysValues = tokens * 2 * width ** 2;
  const rest = (queries: number) => queries * (2 * width ** 2 + 2 * width * mlp + 2 * tokens * width);
  const blocks = layers * keysValues + (layers - 1) * rest(tokens) + rest(1);
  return (tokens - 1) * 3 * patch ** 2 * width + blocks + width * embeddingDim;
}

/** In turns. @returns milliseconds and multiplications of an image, and of the MLP's first product of one block */
export async function imagesAndProduct(context: Context, { id, runs }: { id: string; runs: number }) {
  const { image, embeddingDim } = await context.manifestOf(id);
  if (image.runtime !== 'engine' || image.architecture.kind !== 'vit')
    throw new Error(`${id} is no ViT for the engine`);
  const { architecture, size } = image;
  const { layers, width, mlp } = architecture;
  const tokens = imageTokens(architecture, size);
  const encoder = await loadImageEncoder(context, id);
  const pixels = await noise(context, id);
  const product = await createProduct({ rows: tokens, inputs: width, outputs: mlp });
  const times = await sampleContest({ ours: () => encoder.encodeImage(pixels), library: product }, { runs });
  return {
    shape: { tokens, layers, width },
    image: { ms: times.ours, macs: macsOf(architecture, tokens, embeddingDim) },
    product: { ms: times.library, macs: tokens * width * mlp },
  };
}
