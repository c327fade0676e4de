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
import { createProducts, type Linear, type Matrix, roomFor, rowsOf } from './operations.ts';
import {
  type Bottleneck,
  COLOURS,
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
  /** Stages put out to the two in turns, and read from the other. */
  even: number;
  odd: number;
  /** within a bottleneck; at last the attention's tokens, and their keys and values */
  inner: readonly [number, number];
}

function planMaps(plan: MemoryPlan, shape: ResNetShape, spec: { size: number; embeddingDim: number }): Maps {
  const { stem, bottlenecks, width } = shape;
  const bytes = (side: number, channels: number) => roomFor(side ** 2) * channels * 4;
  const stages = bottlenecks.filter(({ downsample }) => downsample);
  const outputs = stages.map(({ side, outputs, pools }) => bytes(pools ? Math.floor(side / 2) : side, outputs));
  const ofParity = (parity: number) => outputs.filter((_, stage) => stage % 2 === parity);
  const vector = roomFor(1) * 4;
  const inner = Math.max(
    bytes(stem.side, stem.inner),
    ...stages.map(({ side, inner }) => bytes(side, inner)),
    roomFor(tokensOf(shape)) * 2 * width * 4,
    vector * spec.embeddingDim,
  );
  return {
    even: plan.take(
      Math.max(bytes(spec.size, COLOURS), bytes(stem.side, stem.outputs), ...ofParity(0), 2 * vector * width),
    ),
    odd: plan.take(Math.max(bytes(Math.floor(stem.side / 2), stem.outputs), ...ofParity(1))),
    inner: [plan.take(inner), plan.take(inner)],
  };
}

interface Parts {
  convolutions: Convolutions;
  weights: Weights;
  maps: Maps;
  shape: ResNetShape;
}

/** @returns a function: the image's pixels [size · size, 3] at `maps.even` → what the last stage puts out, at `maps.odd` */
function createBody({ convolutions, weights, maps, shape: { stem, bottlenecks } }: Parts, size: number) {
  const { linear, pointwise, addPointwise, neighbours, pool } = convolutions;
  const [first, second] = maps.inner;
  const stemOf = (i: number, outputs: number, inputs: number) =>
    weights.linear(`stem.${i}`, outputs, NEIGHBOURS * inputs);
  const [stem0, stem1] = [stemOf(0, stem.inner, COLOURS), stemOf(1, stem.inner, stem.inner)];
  const stem2 = stemOf(2, stem.outputs, stem.inner);
  const blocks = bottlenecks.map((block) => blockOf(weights, block));

  function runStem(): PixelMap {
    const [hidden, next] = [mapAt(first, stem.side, stem.inner), mapAt(second, stem.side, stem.inner)];
    const out = mapAt(maps.even, stem.side, stem.outputs);
    neighbours(mapAt(maps.even, size, COLOURS), stem0, hidden, 2);
    neighbours(hidden, stem1, next);
    neighbours(next, stem2, out);
    return pool(out, maps.odd);
  }

  function runBlock(block: Block, x: PixelMap): PixelMap {
    const [hidden, next] = [mapAt(first, x.side, block.inner), mapAt(second, x.side, block.inner)];
    pointwise(x, block.conv1, hidden);
    neighbours(hidden, block.conv2, next);
    if (!block.project) {
      addPointwise(next, block.conv3, x);
      return x;
    }
    const [shortcut, inner] = block.pools ? [pool(x, x.at), pool(next, next.at)] : [x, next];
    const out = mapAt(x.at === maps.even ? maps.odd : maps.even, inner.side, block.outputs);
    linear(shortcut, block.project, out);
    addPointwise(inner, block.conv3, out);
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
 * @returns a function: [pixels, width], not at `maps.even` → [1, embeddingDim]
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
  const queries = matrix(maps.even, 1, width);
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
  const { patches, scratch } = planStrips(plan, resNetProducts(shape));
  const attention = planAttention(plan, tokensOf(shape), shape.width / architecture.heads);
  const memory = plan.allocate(spec.claimMemory);

  const weights = await readWeights({ kernels, file, fileAt, noBias: 0 }, resNetTensors(architecture, spec));
  const convolutions = createConvolutions(kernels, createProducts(kernels, scratch), patches);
  const parts = { convolutions, weights, maps, shape };
  const body = createBody(parts, size);
  const head = createHead({ kernels, attention }, parts, { heads: architecture.heads, embeddingDim });
  const pixels = new Float32Array(memory, maps.even, COLOURS * size ** 2);
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
