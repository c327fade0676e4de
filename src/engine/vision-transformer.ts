/**
 * A Vision Transformer as the image encoder of CLIP (OpenAI's clip/model.py, `VisionTransformer`) and of SigLIP
 * (transformers' `SiglipVisionModel`).
 */
import type { VisionTransformerArchitecture } from '../clip/architecture.ts';
import type { PixelValues } from '../clip/encoders.ts';
import type { EncodeGroup, ImageEncoderSpec } from './image-encoder.ts';
import type { ModelFile } from './model-file.ts';
import { type Matrix, roomFor, rowsOf } from './operations.ts';
import { imagePatches, imageTensors, imageTokens, padInputs } from './tensors.ts';
import { loadTower } from './tower.ts';

/** @throws EngineError, and what `file.readInto` throws */
export async function loadVisionTransformer(
  spec: ImageEncoderSpec<VisionTransformerArchitecture>,
  file: ModelFile,
): Promise<EncodeGroup> {
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

  return (images) => {
    for (const [i, image] of images.entries()) embed(image, i * tokens);
    return finish(images.map(() => ({ known: 0, tokens, wanted })));
  };
}
