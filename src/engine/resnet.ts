/**
 * CLIP's modified ResNet as the image encoder (OpenAI's clip/model.py, `ModifiedResNet` and `AttentionPool2d`), its batch
 * norms folded into the convolutions before them. A bottleneck, `pool` where its stage halves the image:
 *
 *   h = pool(relu(conv2(relu(conv1(x)))))
 *   relu(downsample(pool(x)) + conv3(h)), or relu(x + conv3(h))
 */
import type { ResNetArchitecture } from '../clip/architecture.ts';
import type { Embedding, PixelValues } from '../clip/encoders.ts';
import { type AttentionBuffers, planAttention } from './buffers.ts';
import { type Convolutions, createConvolutions, mapAt, type PixelMap, planStrips } from './convolutions.ts';
import type { EncodeGroup, ImageEncoderSpec } from './image-encoder.ts';
import { type Kernels, loadKernels, type MemoryPlan, planMemory } from './kernels.ts';
import { checkLimits } from './limits.ts';
import type { ModelFile } from './model-file.ts';
import { type Linear, type Matrix, roomFor, rowsOf } from './operations.ts';
import {
  type Bottleneck,
  COLOURS,
  half,
  NEIGHBOURS,
  type ResNetShape,
  resNetDemands,
  resNetProducts,
  resNetShape,
  resNetTensors,
  tokensOf,
} from './resnet-shape.ts';
import { createAttention } from './transformer.ts';
import { unitVector } from './unit-vector.ts';
import { readWeights, type Weights } from './weights.ts';

/** Addresses of maps. */
interface Maps {
  /** What goes into a stage, and is added, lies at the low end of this, what it puts out at the high end. */
  low: number;
  high: (map: { side: number; channels: number }) => number;
  /** within a bottleneck; at last the attention's tokens, and their keys and values */
  inner: readonly [number, number];
}

const bytesOf = (side: number, channels: number) => roomFor(side ** 2) * channels * 4;

/** For a query and what it sees, or an embedding. */
const vectorBytes = (width: number) => roomFor(1) * width * 4;

function planMaps(plan: MemoryPlan, shape: ResNetShape, spec: { size: number; embeddingDim: number }): Maps {
  const { stem, bottlenecks, width } = shape;
  const stages = bottlenecks.filter(({ downsample }) => downsample);
  // the two that are there at once
  const pairs = stages.flatMap(({ side, outSide, inputs, outputs }) => {
    const shortcut = bytesOf(outSide, inputs);
    return [shortcut + bytesOf(outSide, outputs), outSide < side ? shortcut + bytesOf(side, inputs) : 0];
  });
  const residual = Math.max(
    bytesOf(spec.size, COLOURS),
    bytesOf(half(stem.side), stem.outputs) + bytesOf(stem.side, stem.inner),
    ...pairs,
    2 * vectorBytes(width),
  );
  const tokens = roomFor(tokensOf(shape)) * width * 4;
  const low = plan.take(residual);
  const firsts = [bytesOf(stem.side, stem.inner), ...stages.map(({ side, inner }) => bytesOf(side, inner))];
  return {
    low,
    high: ({ side, channels }) => low + residual - bytesOf(side, channels),
    inner: [
      plan.take(Math.max(...firsts, tokens, vectorBytes(spec.embeddingDim))),
      plan.take(Math.max(...bottlenecks.map(({ outSide, inner }) => bytesOf(outSide, inner)), 2 * tokens)),
    ],
  };
}

interface Parts {
  convolutions: Convolutions;
  weights: Weights;
  maps: Maps;
  shape: ResNetShape;
}

/** @returns a function: the image's pixels [size · size, 3] at `maps.low` → what the last stage puts out */
function createBody({ convolutions, weights, maps, shape: { stem, bottlenecks } }: Parts, size: number) {
  const { linear, pointwise, addPointwise, neighbours, poolNeighbours, pool } = convolutions;
  const [first, second] = maps.inner;
  const highMap = (side: number, channels: number) => mapAt(maps.high({ side, channels }), side, channels);
  const stemOf = (i: number, outputs: number, inputs: number) =>
    weights.linear(`stem.${i}`, outputs, NEIGHBOURS * inputs);
  const [stem0, stem1] = [stemOf(0, stem.inner, COLOURS), stemOf(1, stem.inner, stem.inner)];
  const stem2 = stemOf(2, stem.outputs, stem.inner);
  const blocks = bottlenecks.map((block) => blockOf(weights, block));

  function runStem(): PixelMap {
    const [hidden, next] = [mapAt(first, stem.side, stem.inner), highMap(stem.side, stem.inner)];
    const out = mapAt(maps.low, half(stem.side), stem.outputs);
    neighbours(mapAt(maps.low, size, COLOURS), stem0, hidden, 2);
    neighbours(hidden, stem1, next);
    poolNeighbours(next, stem2, out);
    return out;
  }

  function runBlock(block: Block, x: PixelMap): PixelMap {
    const [hidden, next] = [mapAt(first, x.side, block.inner), mapAt(second, block.outSide, block.inner)];
    pointwise(x, block.conv1, hidden);
    if (block.pools) poolNeighbours(hidden, block.conv2, next);
    else neighbours(hidden, block.conv2, next);
    if (!block.project) {
      addPointwise(next, block.conv3, x);
      return x;
    }
    const shortcut = block.pools ? pool(x, maps.low) : x;
    const out = highMap(block.outSide, block.outputs);
    linear(shortcut, block.project, out);
    addPointwise(next, block.conv3, out);
    return out;
  }

  return (): PixelMap => blocks.reduce((x, block) => runBlock(block, x), runStem());
}

type Block = Bottleneck & { conv1: Linear; conv2: Linear; conv3: Linear; project?: Linear };

function blockOf({ linear }: Weights, block: Bottleneck): Block {
  const { name, inputs, inner, outputs, downsample } = block;
  return {
    ...block,
    conv1: linear(`${name}.conv1`, inner, inputs),
    conv2: linear(`${name}.conv2`, inner, NEIGHBOURS * inner),
    project: downsample ? linear(`${name}.downsample`, outputs, inputs) : undefined,
    conv3: linear(`${name}.conv3`, outputs, inner),
  };
}

/**
 * The mean of all pixels, with its position, attends to itself and to the pixels, and is projected.
 * @returns a function: [pixels, width] → [1, embeddingDim]
 */
function createHead(
  { kernels, attention }: { kernels: Kernels; attention: AttentionBuffers },
  { convolutions, weights, maps, shape }: Parts,
  { heads, embeddingDim }: { heads: number; embeddingDim: number },
) {
  const { width } = shape;
  const attend = createAttention(kernels, { width, heads }, attention);
  const positions = weights.at('positions');
  const [q, kv] = [weights.linear('pool.q', width, width), weights.linear('pool.kv', 2 * width, width)];
  const projection = weights.linear('projection', embeddingDim, width);
  const matrix = (at: number, rows: number, columns: number): Matrix => ({ at, rows, columns, stride: columns * 4 });
  const tokens = matrix(maps.inner[0], tokensOf(shape), width);
  const keysValues = matrix(maps.inner[1], tokens.rows, 2 * width);
  const queries = matrix(maps.low, 1, width);
  const attended = rowsOf(queries, roomFor(1), 1);
  const embedding = matrix(maps.inner[0], 1, embeddingDim);

  return (x: PixelMap): Matrix => {
    kernels.meanAndRows(x.at, x.rows, width, positions, tokens.at);
    convolutions.linear(tokens, kv, keysValues);
    convolutions.linear(rowsOf(tokens, 0, 1), q, queries);
    attend({ queries, keysValues, position: undefined }, attended);
    convolutions.linear(attended, projection, embedding);
    return embedding;
  };
}

/** @throws EngineError, and what `file.readInto` throws */
export async function loadResNet(spec: ImageEncoderSpec<ResNetArchitecture>, file: ModelFile): Promise<EncodeGroup> {
  const { architecture, size, embeddingDim } = spec;
  checkLimits(resNetDemands(architecture, spec), file.bytes);
  const shape = resNetShape(architecture, size);
  const kernels = await loadKernels(spec.build);
  const plan = planMemory(kernels);
  const fileAt = plan.take(file.bytes);
  const maps = planMaps(plan, shape, spec);
  const strips = planStrips(plan, resNetProducts(shape));
  const attention = planAttention(plan, tokensOf(shape), shape.width / architecture.heads);
  const memory = plan.allocate(spec.claimMemory);

  const weights = await readWeights({ kernels, file, fileAt, noBias: 0 }, resNetTensors(architecture, spec));
  const convolutions = createConvolutions(kernels, strips);
  const parts = { convolutions, weights, maps, shape };
  const body = createBody(parts, size);
  const head = createHead({ kernels, attention }, parts, { heads: architecture.heads, embeddingDim });
  const pixels = new Float32Array(memory, maps.low, COLOURS * size ** 2);
  const encode = (image: PixelValues): Embedding => {
    interleave(image, pixels);
    return unitVector(new Float32Array(memory, head(body()).at, embeddingDim));
  };
  return (images) => images.map(encode);
}

/** [3, pixels] → [pixels, 3] */
function interleave(planes: Float32Array, pixels: Float32Array): void {
  const count = planes.length / COLOURS;
  for (let i = 0, at = 0; i < count; i++) {
    for (let colour = 0; colour < COLOURS; colour++) pixels[at++] = planes[colour * count + i];
  }
}
