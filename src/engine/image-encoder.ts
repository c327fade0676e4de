/**
 * A Vision Transformer as the image encoder of CLIP (OpenAI's clip/model.py, `VisionTransformer`) and of SigLIP
 * (transformers' `SiglipVisionModel`).
 */
import type { ImageArchitecture } from '../clip/architecture.ts';
import type { ClipImageEncoder, Embedding, PixelValues } from '../clip/encoders.ts';
import { EngineError } from './engine-error.ts';
import type { ClaimMemory, KernelBuild } from './kernels.ts';
import type { ModelFile } from './model-file.ts';
import { type Matrix, roomFor, rowsOf } from './operations.ts';
import { imagePatches, imageTensors, imageTokens, padInputs } from './tensors.ts';
import { loadTower } from './tower.ts';

export interface ImageEncoderSpec {
  architecture: ImageArchitecture;
  size: number;
  embeddingDim: number;
  /**
   * Images in one product, 1 if it is not said. Each more takes 32 · width bytes a token: 0.5 MiB with tiny-64, 1.2 MiB with
   * a ViT-B/32, 4.6 MiB with a ViT-B/16. Measured in workerd, an image takes 4 % less of 4 at once with tiny-64 (65 tokens)
   * and 4 to 7 % less with a ViT-B/32 (50 tokens, which alone fill 52 rows). Less than it is worth to hold the pixels of
   * several (0.6 MB each of 224 × 224): the API encodes one at a time.
   */
  imagesAtOnce?: number;
  /** of the kernels; by default the faster one that runs here */
  build?: KernelBuild;
  /** told how many bytes the encoder takes, before it does; throws if they are too many */
  claimMemory?: ClaimMemory;
}

export interface ImageEncoder extends ClipImageEncoder {
  /** In order; each to the last bit as if it were alone. One that is refused refuses all. */
  encodeImages(images: readonly PixelValues[]): Promise<Embedding[]>;
}

/** @throws EngineError, and what `file.readInto` throws */
export async function loadImageEncoder(spec: ImageEncoderSpec, file: ModelFile): Promise<ImageEncoder> {
  const { architecture, size, embeddingDim, imagesAtOnce = 1 } = spec;
  const { width, patch, classToken, preNorm, pooling } = architecture;
  const tokens = imageTokens(architecture, size);
  const patchRows = { first: Number(classToken), count: imagePatches(architecture, size) };
  const inputs = padInputs(3 * patch ** 2);
  const { kernels, operations, buffers, input, memory, weights, finish } = await loadTower(
    {
      shape: { ...architecture, causal: false },
      pooling,
      embeddingDim,
      build: spec.build,
      claimMemory: spec.claimMemory,
      maxTokens: tokens,
      maxRows: imagesAtOnce * tokens,
      tensors: () => imageTensors(architecture, spec),
      room: { wide: roomFor(tokens) * inputs * 4, input: 3 * size ** 2 * 4 },
      embeddingProduct: { rows: patchRows.count, inputs },
    },
    file,
  );
  const pixels = new Float32Array(memory, input, 3 * size ** 2);
  const x = new Float32Array(memory, buffers.x.at, imagesAtOnce * tokens * width);
  const classEmbedding = classToken ? new Float32Array(memory, weights.at('class'), width) : [];
  const positions = new Float32Array(memory, weights.at('positions'), tokens * width);
  const patchEmbedding = weights.linear('patch', width, inputs);
  const patches: Matrix = { at: buffers.wide, rows: patchRows.count, columns: inputs, stride: inputs * 4 };
  const wanted = { cls: { first: 0, count: 1 }, mean: patchRows, attention: { first: 0, count: tokens } }[pooling];

  /** [class token, if there is one, patches] + positions, into x from `row` on */
  function embed(pixelValues: PixelValues, row: number): void {
    const embedded = rowsOf(buffers.x, row, tokens);
    x.set(positions, row * width);
    for (const [i, value] of classEmbedding.entries()) x[row * width + i] += value;
    pixels.set(pixelValues);
    kernels.gatherPatches(input, size, patch, patches.at, patches.stride);
    operations.addLinear(patches, patchEmbedding, rowsOf(embedded, patchRows.first, patchRows.count));
    if (preNorm) operations.layerNorm(embedded, weights.norm('pre_norm'), embedded);
  }

  function check({ length }: PixelValues): void {
    if (length !== pixels.length) {
      throw new EngineError(`an image has ${length} values, this encoder takes ${pixels.length}`);
    }
  }

  function encodeGroup(images: readonly PixelValues[]): Embedding[] {
    for (const [i, image] of images.entries()) embed(image, i * tokens);
    return finish(images.map(() => ({ known: 0, tokens, wanted })));
  }

  return {
    async encodeImage(pixelValues) {
      check(pixelValues);
      return encodeGroup([pixelValues])[0];
    },
    async encodeImages(images) {
      images.forEach(check);
      const embeddings: Embedding[] = [];
      for (let first = 0; first < images.length; first += imagesAtOnce) {
        embeddings.push(...encodeGroup(images.slice(first, first + imagesAtOnce)));
      }
      return embeddings;
    },
  };
}
