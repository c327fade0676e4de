/** Model files of random weights, as the exporter lays them out; single tensors can be changed or left out. */
import type {
  ResNetArchitecture,
  TextArchitecture,
  VisionTransformerArchitecture,
} from '../../src/clip/architecture.ts';
import { readSafeTensorsHeader } from '../../src/clip/safetensors.ts';
import type { TensorSpec } from '../../src/engine/tensors.ts';
import { normal, weights } from './workbench.ts';

const transformer = {
  layers: 2,
  width: 24,
  heads: 3,
  mlp: 40,
  activation: 'quick_gelu',
  layerNormEps: 1e-5,
  projection: true,
  fast: [],
} as const;

/** Odd on purpose: 10 tokens, inputs that are no multiples of 16, pixels that are none of 8. */
export const imageSpec = {
  architecture: {
    kind: 'vit',
    ...transformer,
    patch: 5,
    classToken: true,
    preNorm: true,
    pooling: 'cls',
  } satisfies VisionTransformerArchitecture,
  size: 15,
  embeddingDim: 16,
};

/** SigLIP's: 9 tokens, none of them a class token, and no projection. */
export const siglipSpec = {
  ...imageSpec,
  architecture: {
    ...imageSpec.architecture,
    classToken: false,
    preNorm: false,
    pooling: 'attention',
    projection: false,
  } satisfies VisionTransformerArchitecture,
  embeddingDim: 24,
};

/** 17, 8, 4, 2 and 1 pixels a side within it; channels that are padded to 8. */
export const resNetSpec = {
  architecture: { kind: 'resnet', stages: [1, 2, 1, 1], width: 4, heads: 4 } satisfies ResNetArchitecture,
  size: 34,
  embeddingDim: 16,
};

export const textSpec = {
  architecture: { ...transformer, causal: true, pooling: 'first-eot' } satisfies TextArchitecture,
  vocabularySize: 50,
  contextLength: 11,
  endOfText: 49,
  padId: null,
  embeddingDim: 16,
};

/** By dtype. What the sums of a fast product start with only shifts its outputs. */
const DRAW: Record<string, (count: number, seed: number, name: string) => Float32Array | Int8Array | Int32Array> = {
  I8: weights,
  I32: (count, seed) => Int32Array.from(normal(count, seed), (x) => x * 1000),
  F32: (count, seed, name) => floats(name, count, seed),
};

export type Entry = { dtype: string; shape: readonly number[]; data_offsets: [number, number] };
export type Header = Record<string, Entry | Record<string, string>>;

/** Scales so that a product is about as large as what goes in, and attention looks at more than one token. */
function floats(name: string, count: number, seed: number): Float32Array {
  const size = name.endsWith('.scale') ? 0.004 : 0.1;
  const mean = /norm\d?\.weight$/.test(name) ? 1 : 0;
  return normal(count, seed).map((x) => mean + size * x);
}

/** @param change alters the header before it is written */
export function randomModel(
  specs: readonly TensorSpec[],
  change: (header: Header) => void = () => {},
): Uint8Array<ArrayBuffer> {
  const header: Header = { __metadata__: { format: 'edgeclip-engine/1' } };
  const parts: Uint8Array[] = [];
  let length = 0;
  for (const [seed, { name, dtype, shape }] of specs.entries()) {
    const count = shape.reduce((product, n) => product * n, 1);
    const values = DRAW[dtype](count, seed, name);
    header[name] = { dtype, shape, data_offsets: [length, length + values.byteLength] };
    parts.push(new Uint8Array(values.buffer));
    length += values.byteLength;
  }
  change(header);
  const json = new TextEncoder().encode(JSON.stringify(header));
  const start = Math.ceil((8 + json.length) / 64) * 64;
  const file = new Uint8Array(start + length).fill(0x20, 8, start);
  new DataView(file.buffer).setBigUint64(0, BigInt(start - 8), true);
  file.set(json, 8);
  let at = start;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** The file with its header altered, at the same length, so that nothing else moves. */
export function withHeader(
  file: Uint8Array<ArrayBuffer>,
  change: (header: Record<string, Entry>) => void,
): Uint8Array<ArrayBuffer> {
  const { header, start } = readSafeTensorsHeader(file);
  change(header as Record<string, Entry>);
  const json = new TextEncoder().encode(JSON.stringify(header));
  if (json.length > start - 8) throw new Error(`${json.length} bytes of header, there is room for ${start - 8}`);
  const changed = file.slice();
  changed.fill(0x20, 8, start).set(json, 8);
  return changed;
}
