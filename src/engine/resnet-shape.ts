/** The sizes in a ResNet, by its architecture and its image's: what the file must have, and what is computed of it. */
import type { ResNetArchitecture } from '../clip/architecture.ts';
import type { ProductInputs } from './convolutions.ts';
import type { Demands } from './limits.ts';
import { floats, linear, type TensorSpec } from './tensors.ts';

export interface Bottleneck {
  /** what its tensors' names begin with */
  name: string;
  /** pixels a side of what comes in, and of what it puts out: half of it if it pools */
  side: number;
  outSide: number;
  pools: boolean;
  /** channels: of what comes in, within, and of what it puts out */
  inputs: number;
  inner: number;
  outputs: number;
  /** The first of a stage has a convolution of its own for what is added to its result. */
  downsample: boolean;
}

export interface ResNetShape {
  /** Its first convolution strides, and what it puts out is pooled. `side`: between the two. */
  stem: { side: number; inner: number; outputs: number };
  bottlenecks: readonly Bottleneck[];
  /** pixels a side, and channels, of what the last bottleneck puts out */
  side: number;
  width: number;
}

/** The product makes 8 outputs at a time; those that the model does not have are zeros, in the file and in the maps. */
const padChannels = (channels: number): number => Math.ceil(channels / 8) * 8;

export const half = (side: number): number => Math.floor(side / 2);

/** Of the convolutions that see neighbours. */
export const NEIGHBOURS = 9;

/** Red, green, blue. */
export const COLOURS = 3;

export function resNetShape({ stages, width }: ResNetArchitecture, size: number): ResNetShape {
  const stem = { side: Math.ceil(size / 2), inner: padChannels(width / 2), outputs: padChannels(width) };
  const bottlenecks: Bottleneck[] = [];
  let [side, inputs] = [half(stem.side), stem.outputs];
  for (const [stage, count] of stages.entries()) {
    const inner = width * 2 ** stage;
    for (let i = 0; i < count; i++) {
      const [downsample, pools] = [i === 0, i === 0 && stage > 0];
      const channels = { inputs, inner: padChannels(inner), outputs: 4 * inner };
      const outSide = pools ? half(side) : side;
      bottlenecks.push({ name: `stages.${stage}.${i}`, side, outSide, pools, ...channels, downsample });
      side = outSide;
      inputs = channels.outputs;
    }
  }
  return { stem, bottlenecks, side, width: inputs };
}

/** What the attention sees: the mean of all pixels, and the pixels. */
export const tokensOf = ({ side }: Pick<ResNetShape, 'side'>): number => side ** 2 + 1;

/** Found without a list of the bottlenecks, of which a manifest may say any number. */
export function resNetDemands(
  { stages, width }: ResNetArchitecture,
  { size, embeddingDim }: { size: number; embeddingDim: number },
): Demands {
  const last = width * 2 ** (stages.length - 1);
  const side = stages.slice(1).reduce(half, half(Math.ceil(size / 2)));
  const weights = stages.reduce((sum, count, stage) => sum + count * 17 * (width * 2 ** stage) ** 2, 0);
  const blocks = { count: stages.reduce((a, b) => a + b), weights };
  return { tokens: tokensOf({ side }), inputs: NEIGHBOURS * last, embeddingDim, blocks };
}

/** What goes into each product: of pixels, or of the attention's tokens. */
export function resNetProducts({ stem, bottlenecks, side, width }: ResNetShape): ProductInputs[] {
  const stemRows = stem.side ** 2;
  const stemInputs = NEIGHBOURS * stem.inner;
  return [
    { rows: stemRows, inputs: NEIGHBOURS * COLOURS },
    { rows: stemRows, inputs: stemInputs },
    { rows: stemRows, inputs: stemInputs, pooled: { side: stem.side, outputs: stem.outputs } },
    ...bottlenecks.flatMap(({ side, outSide, pools, inputs, inner }) => [
      { rows: side ** 2, inputs },
      { rows: outSide ** 2, inputs: inner },
      { rows: side ** 2, inputs: NEIGHBOURS * inner, pooled: pools ? { side, outputs: inner } : undefined },
    ]),
    { rows: tokensOf({ side }), inputs: width },
  ];
}

/** In the order of their use. A convolution's inputs are ordered y, x, channel. */
export function resNetTensors(
  architecture: ResNetArchitecture,
  { size, embeddingDim }: { size: number; embeddingDim: number },
): TensorSpec[] {
  const { stem, bottlenecks, side, width } = resNetShape(architecture, size);
  return [
    ...linear('stem.0', stem.inner, NEIGHBOURS * COLOURS),
    ...linear('stem.1', stem.inner, NEIGHBOURS * stem.inner),
    ...linear('stem.2', stem.outputs, NEIGHBOURS * stem.inner),
    ...bottlenecks.flatMap(({ name, inputs, inner, outputs, downsample }) => [
      ...linear(`${name}.conv1`, inner, inputs),
      ...linear(`${name}.conv2`, inner, NEIGHBOURS * inner),
      ...(downsample ? linear(`${name}.downsample`, outputs, inputs) : []),
      ...linear(`${name}.conv3`, outputs, inner),
    ]),
    floats('positions', tokensOf({ side }), width), // of the mean, then of the pixels
    ...linear('pool.q', width, width), // scaled by headDim^−½
    ...linear('pool.kv', 2 * width, width),
    ...linear('projection', embeddingDim, width),
  ];
}
