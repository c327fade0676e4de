/**
 * A Vision Transformer as the image encoder of CLIP (OpenAI's clip/model.py, `VisionTransformer`) and of SigLIP
 * (transformers' `SiglipVisionModel`).
 */
import type { ImageArchitecture } from '../clip/architecture.ts';
import type { ClipImageEncoder } from '../clip/encoders.ts';
import { EngineError } from './engine-error.ts';
import { type Matrix, roomFor, rowsOf } from './operations.ts';
import { imagePatches, imageTensors, imageTokens, padInputs } from './tensors.ts';
import { loadTower } from './tower.ts';
import type { ModelFile } from './weights.ts';

export interface ImageEncoderSpec {
  architecture: ImageArchitecture;
  size: number;
  embeddingDim: number;
}

/** @throws EngineError, and what `file.readInto` throws */
export async function loadImageEncoder(spec: ImageEncoderSpec, file: ModelFile): Promise<ClipImageEncoder> {
  const { architecture, size, embeddingDim } = spec;
  const { width, patch, classToken, preNorm, pooling } = architecture;
  const tokens = imageTokens(architecture, size);
  const patchRows = { first: Number(classToken), count: imagePatches(architecture, size) };
  const inputs = padInputs(3 * patch ** 2);
  const { kernels, operations, buffers, input, memory, weights, finish } = await loadTower(
    {
      shape: { ...architecture, causal: false },
      pooling,
      embeddingDim,
      maxTokens: tokens,
      tensors: imageTensors(architecture, spec),
      room: { wide: roomFor(tokens) * inputs * 4, input: 3 * size ** 2 * 4 },
      embeddingProduct: { rows: patchRows.count, inputs },
    },
    file,
  );
  const pixels = new Float32Array(memory, input, 3 * size ** 2);
  const x = new Float32Array(memory, buffers.x.at, tokens * width);
  const classEmbedding = classToken ? new Float32Array(memory, weights.at('class'), width) : [];
  const positions = new Float32Array(memory, weights.at('positions'), tokens * width);
  const patchEmbedding = weights.linear('patch', width, inputs);
  const patches: Matrix = { at: buffers.wide, rows: patchRows.count, columns: inputs, stride: inputs * 4 };
  const embedded = rowsOf(buffers.x, 0, tokens);
  const wanted = { cls: { first: 0, count: 1 }, mean: patchRows, attention: { first: 0, count: tokens } }[pooling];

  /** [class token, if there is one, patches] + positions, into x */
  function embed(): void {
    x.set(positions);
    for (const [i, value] of classEmbedding.entries()) x[i] += value;
    kernels.gatherPatches(input, size, patch, patches.at, patches.stride);
    operations.addLinear(patches, patchEmbedding, rowsOf(buffers.x, patchRows.first, patchRows.count));
    if (preNorm) operations.layerNorm(embedded, weights.norm('pre_norm'), embedded);
  }

  return {
    async encodeImage(pixelValues) {
      if (pixelValues.length !== pixels.length) {
        throw new EngineError(`an image has ${pixelValues.length} values, this encoder takes ${pixels.length}`);
      }
      pixels.set(pixelValues);
      embed();
      return finish({ known: 0, tokens, wanted });
    },
  };
}
