/** The tensors of a model file, by its architecture. `clip-export` writes exactly these (model-export/src/clip_export). */
import type { TextArchitecture, TransformerArchitecture, VisionTransformerArchitecture } from '../clip/architecture.ts';

export interface TensorSpec {
  name: string;
  dtype: 'I8' | 'I32' | 'F32';
  shape: readonly number[];
  /** may be missing: then it counts as zeros */
  optional?: boolean;
  /** of F32: no value is below it */
  least?: number;
}

/** The matrix product reads 16 inputs at a time; the file has zeros there. */
export const padInputs = (inputs: number): number => Math.ceil(inputs / 16) * 16;

export const floats = (name: string, ...shape: number[]): TensorSpec => ({ name, dtype: 'F32', shape });

/** Inputs of the fast product that share a scale (assembly/fast.ts). */
export const GROUP = 128;

export const groupsOf = (inputs: number): number => Math.ceil(inputs / GROUP);

/** A matrix product: int8 panels of 8 outputs, [outputs / 8][inputs / 2][8][2], and one scale an output. */
const product = (name: string, outputs: number, inputs: number): TensorSpec[] => [
  { name: `${name}.weight`, dtype: 'I8', shape: [outputs / 8, padInputs(inputs) / 2, 8, 2] },
  floats(`${name}.scale`, outputs),
];

/** The fast one: [outputs / 8][inputs / 4][8][4], and where the sums of each group of inputs start. */
const fastProduct = (name: string, outputs: number, inputs: number): TensorSpec[] => [
  { name: `${name}.weight`, dtype: 'I8', shape: [outputs / 8, inputs / 4, 8, 4] },
  { name: `${name}.start`, dtype: 'I32', shape: [groupsOf(inputs), outputs] },
  floats(`${name}.scale`, outputs),
  floats(`${name}.bias`, outputs),
];

export const linear = (name: string, outputs: number, inputs: number) => [
  ...product(name, outputs, inputs),
  floats(`${name}.bias`, outputs),
];

/** Where families differ in whether there is a bias. */
const perhapsBiased = (name: string, outputs: number, inputs: number) => [
  ...product(name, outputs, inputs),
  { ...floats(`${name}.bias`, outputs), optional: true },
];

const norm = (name: string, width: number) => [floats(`${name}.weight`, width), floats(`${name}.bias`, width)];

const blocks = ({ layers, width, mlp, fast }: TransformerArchitecture): TensorSpec[] =>
  Array.from({ length: layers }, (_, i) => `layers.${i}`).flatMap((layer) => {
    const chosen = (name: string, outputs: number, inputs: number) =>
      (fast.includes(name) ? fastProduct : linear)(name, outputs, inputs);
    // of the activation, after its floor: what is multiplied must stay as it is, never negative
    const factor = { ...floats(`${layer}.fc2.factor`, mlp), least: 0 };
    return [
      ...norm(`${layer}.norm1`, width),
      ...chosen(`${layer}.qkv`, 3 * width, width), // queries, keys, values; the queries scaled by headDim^−½
      ...chosen(`${layer}.out`, width, width),
      ...norm(`${layer}.norm2`, width),
      ...chosen(`${layer}.fc1`, mlp, width),
      ...(fast.includes(`${layer}.fc2`) ? [factor] : []),
      ...chosen(`${layer}.fc2`, width, mlp),
    ];
  });

const head = ({ width, projection }: TransformerArchitecture, embeddingDim: number) =>
  projection ? perhapsBiased('projection', embeddingDim, width) : [];

const attentionPool = ({ width, mlp }: TransformerArchitecture): TensorSpec[] => [
  floats('pool.query', width), // the probe as it comes out of the query product, scaled by headDim^−½
  ...linear('pool.kv', 2 * width, width),
  ...linear('pool.out', width, width),
  ...norm('pool.norm', width),
  ...linear('pool.fc1', mlp, width),
  ...linear('pool.fc2', width, mlp),
];

export const imagePatches = ({ patch }: VisionTransformerArchitecture, size: number): number =>
  Math.floor(size / patch) ** 2;

/** The class token, if there is one, and the patches. */
export const imageTokens = (architecture: VisionTransformerArchitecture, size: number): number =>
  Number(architecture.classToken) + imagePatches(architecture, size);

/** Of a Vision Transformer. A ResNet's are in resnet-shape.ts. */
export const imageTensors = (
  architecture: VisionTransformerArchitecture,
  { size, embeddingDim }: { size: number; embeddingDim: number },
): TensorSpec[] => [
  ...perhapsBiased('patch', architecture.width, 3 * architecture.patch ** 2),
  ...(architecture.classToken ? [floats('class', architecture.width)] : []),
  floats('positions', imageTokens(architecture, size), architecture.width),
  ...(architecture.preNorm ? norm('pre_norm', architecture.width) : []),
  ...blocks(architecture),
  ...norm('post_norm', architecture.width),
  ...(architecture.pooling === 'attention' ? attentionPool(architecture) : []),
  ...head(architecture, embeddingDim),
];

export const textTensors = (
  architecture: TextArchitecture,
  sizes: { vocabularySize: number; contextLength: number; embeddingDim: number },
): TensorSpec[] => [
  { name: 'tokens.weight', dtype: 'I8', shape: [sizes.vocabularySize, architecture.width] },
  floats('tokens.scale', sizes.vocabularySize),
  floats('positions', sizes.contextLength, architecture.width),
  ...blocks(architecture),
  ...norm('post_norm', architecture.width),
  ...head(architecture, sizes.embeddingDim),
];
