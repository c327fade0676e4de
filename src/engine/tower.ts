/**
 * What both encoders are: a model file and the activations in one memory of its own, a Transformer between an embedding,
 * which they bring, and the pooling and projection.
 */
import { normalise } from '../clip/embedding.ts';
import type { Embedding } from '../clip/encoders.ts';
import { type Buffers, planBuffers } from './buffers.ts';
import { EngineError } from './engine-error.ts';
import { type ClaimMemory, type KernelBuild, type Kernels, loadKernels, planMemory } from './kernels.ts';
import { locateTensors, type ModelFile } from './model-file.ts';
import { createOperations, type Operations, roomFor, rowsOf } from './operations.ts';
import { createPooling, type Pooling } from './pooling.ts';
import { groupsOf, padInputs, type TensorSpec } from './tensors.ts';
import { type Block, createTransformer, type Sequence, type TransformerShape } from './transformer.ts';
import { createWeights, type Weights } from './weights.ts';

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

  const bytes = new Uint8Array(memory, fileAt, file.bytes);
  await file.readInto(bytes);
  const weights = createWeights(kernels, locateTensors(kernels, bytes, spec.tensors()), { fileAt, noBias });
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

/** By the bound of attention's sums (assembly/attention.ts). */
const MAX_TOKENS = 2048;

/** Of a product: each activation then has 7 bits at least (assembly/quantise.ts). */
const MAX_INPUTS = 2 ** 17;

/** What no kernel could run, or no file of so many bytes could hold: found before there is memory for it. */
function checkArchitecture({ shape, maxTokens, embeddingDim, embeddingProduct }: TowerSpec, fileBytes: number): void {
  const { layers, width, mlp, projection } = shape;
  if (maxTokens > MAX_TOKENS) {
    throw new EngineError(`the model takes ${maxTokens} tokens, attention at most ${MAX_TOKENS}`);
  }
  if (!projection && embeddingDim !== width) {
    throw new EngineError(
      `the embedding has ${embeddingDim} dimensions, the width is ${width}, and there is no projection`,
    );
  }
  if (embeddingDim % 8 > 0) {
    throw new EngineError(`the embedding has ${embeddingDim} dimensions, a product makes a multiple of 8`);
  }
  const inputs = Math.max(width, mlp, embeddingProduct?.inputs ?? 0);
  if (inputs > MAX_INPUTS) throw new EngineError(`a product has ${inputs} inputs, at most ${MAX_INPUTS} are taken`);
  const weights = layers * (4 * width ** 2 + 2 * width * mlp);
  if (weights > fileBytes) {
    throw new EngineError(
      `the architecture's ${layers} blocks have ${weights} bytes of weights, the file ${fileBytes}`,
    );
  }
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

/** A copy of length 1. A NaN or an infinity anywhere on the way has come through to here: then some of it is NaN. */
function unitVector(vector: Float32Array): Embedding {
  const unit = normalise(vector);
  if (unit.some(Number.isNaN) || unit.every((x) => x === 0)) {
    throw new EngineError(
      'the embedding has no direction: a pixel or a weight is not a finite number, or a product of them too large',
    );
  }
  return unit;
}
