/**
 * What both encoders are: a model file and the activations in one memory of its own, a Transformer between an embedding,
 * which they bring, and the pooling and projection.
 */
import type { Embedding } from '../clip/encoders.ts';
import { type Buffers, planBuffers } from './buffers.ts';
import { EngineError } from './engine-error.ts';
import { type ClaimMemory, type KernelBuild, type Kernels, loadKernels, planMemory } from './kernels.ts';
import { checkLimits } from './limits.ts';
import type { ModelFile } from './model-file.ts';
import { createOperations, type Operations, roomFor, rowsOf } from './operations.ts';
import { createPooling, type Pooling } from './pooling.ts';
import { groupsOf, padInputs, type TensorSpec } from './tensors.ts';
import { type Block, createTransformer, type Sequence, type TransformerShape } from './transformer.ts';
import { unitVector } from './unit-vector.ts';
import { readWeights, type Weights } from './weights.ts';

export interface TowerSpec {
  shape: TransformerShape;
  pooling: Pooling;
  embeddingDim: number;
  /** of a sequence */
  maxTokens: number;
  /** of a batch */
  maxRows: number;
  /** a list only once it is known to be no longer than the file can have it */
  tensors: () => readonly TensorSpec[];
  /** bytes that the embedding needs: `wide` before the first block runs, `input` for what JavaScript hands over */
  room: { wide: number; input: number };
  /** inputs and rows of the embedding's own product, if it has one */
  embeddingProduct?: { rows: number; inputs: number };
  /** of the kernels; by default the faster one that runs here */
  build?: KernelBuild;
  /** told how many bytes of memory the encoder takes, before it does */
  claimMemory?: ClaimMemory;
}

export interface Tower {
  kernels: Kernels;
  operations: Operations;
  buffers: Buffers;
  /** `spec.room.input` bytes, free until the first product */
  input: number;
  memory: ArrayBuffer;
  weights: Weights;
  /**
   * The embeddings of the sequences whose tokens are in `buffers.x`.
   * @throws EngineError if a number on the way was none
   */
  finish(batch: readonly Sequence[]): Embedding[];
}

/** @throws EngineError, and what `file.readInto` throws */
export async function loadTower(spec: TowerSpec, file: ModelFile): Promise<Tower> {
  checkArchitecture(spec, file.bytes);
  const kernels = await loadKernels(spec.build);
  const plan = planMemory(kernels);
  const fileAt = plan.take(file.bytes);
  const { shape, embeddingDim, maxTokens, maxRows, room } = spec;
  const rows = roomFor(maxRows);
  const wideBytes = Math.max(room.wide, rows * embeddingDim * 4);
  const buffers = planBuffers(plan, shape, { maxTokens, maxRows, wideBytes });
  const input = plan.take(Math.max(packedBytes(spec), room.input));
  const scales = plan.take(rows * groupsOf(Math.max(shape.width, shape.mlp)) * 4);
  const noBias = plan.take(Math.max(3 * shape.width, shape.mlp, embeddingDim) * 4);
  const memory = plan.allocate(spec.claimMemory);

  const weights = await readWeights({ kernels, file, fileAt, noBias }, spec.tensors());
  const operations = createOperations(kernels, shape, { packed: input, scales });
  const blocks = Array.from({ length: shape.layers }, (_, i) => blockOf(weights, `layers.${i}`, shape));
  const transformer = createTransformer({ kernels, operations }, shape, { buffers, blocks });
  const pool = createPooling(spec.pooling, { kernels, operations, buffers, weights, shape });
  const projection = shape.projection && weights.linear('projection', embeddingDim, shape.width);
  return {
    kernels,
    operations,
    buffers,
    input,
    memory,
    weights,
    finish(batch) {
      const pooled = pool(transformer(batch), batch.length);
      const projected = { at: buffers.wide, rows: batch.length, columns: embeddingDim, stride: embeddingDim * 4 };
      if (projection) operations.linear(pooled, projection, projected);
      const embeddings = projection ? projected : pooled;
      return batch.map((_, i) => unitVector(new Float32Array(memory, rowsOf(embeddings, i, 1).at, embeddingDim)));
    },
  };
}

function checkArchitecture({ shape, maxTokens, embeddingDim, embeddingProduct }: TowerSpec, fileBytes: number): void {
  const { layers, width, mlp, projection } = shape;
  if (!projection && embeddingDim !== width) {
    throw new EngineError(
      `the embedding has ${embeddingDim} dimensions, the width is ${width}, and there is no projection`,
    );
  }
  const inputs = Math.max(width, mlp, embeddingProduct?.inputs ?? 0);
  const blocks = { count: layers, weights: layers * (4 * width ** 2 + 2 * width * mlp) };
  checkLimits({ tokens: maxTokens, inputs, embeddingDim, blocks }, fileBytes);
}

/** For the largest product's left side in int16. */
function packedBytes({ shape, maxRows, embeddingProduct }: TowerSpec): number {
  const own = embeddingProduct ? roomFor(embeddingProduct.rows) * padInputs(embeddingProduct.inputs) : 0;
  return 2 * Math.max(own, roomFor(maxRows) * padInputs(Math.max(shape.width, shape.mlp)));
}

const blockOf = ({ find, norm, linear }: Weights, name: string, { width, mlp }: TransformerShape): Block => ({
  norm1: norm(`${name}.norm1`),
  qkv: linear(`${name}.qkv`, 3 * width, width),
  out: linear(`${name}.out`, width, width),
  norm2: norm(`${name}.norm2`),
  fc1: linear(`${name}.fc1`, mlp, width),
  factor: find(`${name}.fc2.factor`) ?? 0,
  fc2: linear(`${name}.fc2`, width, mlp),
});
